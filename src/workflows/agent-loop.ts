/**
 * The agent loop that all roles share: think, act, until the role's closing tool is called with arguments
 * that its caller accepts. Invariants:
 * 1. Each message is in history once, as the result of the activity that made it.
 * 2. A turn number is used for one think only: it is part of the call's Idempotency-Key.
 * 3. The loop ends: by the closing call, a limit, a stall, or answers that are no use.
 */
import { workflowInfo } from '@temporalio/workflow';
import type { Limits, Message, Role, ThinkResult, ToolCall, ToolResult } from '../shared/contracts/agent.ts';
import { addMetrics, type AgentMetrics, NO_METRICS } from '../shared/contracts/task.ts';
import type { Chain } from '../shared/ids.ts';
import { ROLE_TOOLS, type ToolName } from '../shared/tools.ts';
import { tailDigest } from '../shared/digest.ts';
import { LOOP_TEXT } from '../shared/loop-text.ts';
import { llmActivities } from './activities.ts';

/** An agent's conversation and counters: plain JSON, carried through continue-as-new. */
export type Conversation = {
  messages: Message[];
  /** The last turn that was begun. */
  turn: number;
  /** Counts compactions. */
  number: number;
  metrics: AgentMetrics;
  startedAt: number;
  /** Input tokens of the newest call. */
  inputTokens: number;
};

export function newConversation(messages: Message[], now: number): Conversation {
  return { messages, turn: 0, number: 0, metrics: NO_METRICS, startedAt: now, inputTokens: 0 };
}

export type LoopEnd<T> =
  | { kind: 'closed'; value: T }
  /** `limit` and `stall` leave work worth handing off; `useless` is a model that does not play its part. */
  | { kind: 'stopped'; by: 'limit' | 'stall' | 'useless'; reason: string }
  /** The transcript is too long: the caller compacts and comes back. */
  | { kind: 'compact' };

export type LoopOptions<T> = {
  role: Role;
  conversation: Conversation;
  agent: Chain;
  ancestors: Chain[];
  limits: Limits;
  maxOutputTokens: number;
  compactTokens: number;
  /** Runs the calls of one turn, in order; one result for each. */
  act: (turn: number, calls: ToolCall[]) => Promise<ToolResult[]>;
  /** Parses and checks the closing call; an error goes back to the model. */
  close: (call: ToolCall) => { ok: true; value: T } | { ok: false; error: string };
  /** What limits are counted from; the conversation's start unless given (a planner counts each round). */
  since?: Baseline;
};

export type Baseline = { turns: number; tokens: number; at: number };

export const baselineOf = (talk: Conversation, now: number): Baseline => ({
  turns: talk.turn,
  tokens: talk.metrics.inputTokens + talk.metrics.outputTokens,
  at: now,
});

/** Beyond this a query's answer nears gRPC's limit (DESIGN: 1.5 MB takes 0.1 s, 2.2 MB fails). */
const MAX_TRANSCRIPT_CHARS = 900_000;
/** Of one turn: 30 kB each must fit into one result of at most 1.5 MB, and into the transcript. */
const MAX_CALLS = 16;
const MAX_ANSWERS_WITHOUT_CALL = 3;
const STALL_REPEATS = 3;

export async function runAgent<T>(options: LoopOptions<T>): Promise<LoopEnd<T>> {
  const { role, conversation: talk, limits, act, close } = options;
  const closing = ROLE_TOOLS[role].closing;
  const since = options.since ?? { turns: 0, tokens: 0, at: talk.startedAt };
  const repeats = new Repeats();
  let withoutCall = 0;
  let empty = 0;
  let lastChance = false;

  for (;;) {
    const reached = limitReached(limits, talk, since);
    // A limit first: a model that does not close could be compacted for ever, each time with a last turn anew.
    if (reached === null && needsCompaction(talk, options.compactTokens)) return { kind: 'compact' };
    if (reached !== null) {
      if (lastChance) return { kind: 'stopped', by: 'limit', reason: reached };
      lastChance = true;
      talk.messages.push({ role: 'user', text: LOOP_TEXT.lastTurn(reached, closing) });
    }
    const answer = await think(options, lastChance ? [closing] : ROLE_TOOLS[role].tools);
    const { text, toolCalls } = answer.message;

    if (toolCalls.length === 0 && text.trim() === '') {
      if (++empty > 1) return { kind: 'stopped', by: 'useless', reason: 'The model answered nothing, twice.' };
      continue;
    }
    empty = 0;
    talk.messages.push(answer.message);
    if (toolCalls.length === 0) {
      if (++withoutCall >= MAX_ANSWERS_WITHOUT_CALL) {
        const reason = `The model answered ${withoutCall} times without calling a tool.`;
        return { kind: 'stopped', by: 'useless', reason };
      }
      talk.messages.push({ role: 'user', text: LOOP_TEXT.callATool(closing) });
      continue;
    }
    withoutCall = 0;

    const ended = await takeTurn(talk, toolCalls, closing, act, close);
    if (ended.closed !== undefined) return { kind: 'closed', value: ended.closed.value };
    const times = repeats.seen(toolCalls, ended.results);
    if (times > STALL_REPEATS) {
      return { kind: 'stopped', by: 'stall', reason: `The same call gave the same result ${times} times.` };
    }
    if (times === STALL_REPEATS) talk.messages.push({ role: 'user', text: LOOP_TEXT.stall(times, closing) });
  }
}

/** One call of the model over the whole transcript; counts the turn and what it cost. */
export async function think(
  options: Pick<LoopOptions<unknown>, 'role' | 'conversation' | 'agent' | 'ancestors' | 'maxOutputTokens'>,
  tools: readonly ToolName[],
): Promise<ThinkResult> {
  const { conversation: talk } = options;
  talk.turn += 1;
  const answer = await llmActivities.think.executeWithOptions({ summary: `think ${talk.turn}` }, [
    {
      role: options.role,
      turn: talk.turn,
      messageCount: talk.messages.length,
      tail: tailDigest(talk.messages),
      conversation: talk.number,
      tools: [...tools],
      agent: options.agent,
      ancestors: options.ancestors,
      maxOutputTokens: options.maxOutputTokens,
    },
  ]);
  talk.inputTokens = answer.usage.inputTokens;
  talk.metrics = addMetrics(talk.metrics, {
    turns: 1,
    toolCalls: answer.message.toolCalls.length,
    ...answer.usage,
    costUsd: answer.costUsd,
    durationMs: answer.durationMs,
  });
  return answer;
}

/** Runs a turn's calls up to the closing one; what stands behind it is not run. */
async function takeTurn<T>(
  talk: Conversation,
  toolCalls: ToolCall[],
  closing: ToolName,
  act: LoopOptions<T>['act'],
  close: LoopOptions<T>['close'],
): Promise<{ closed?: { value: T }; results: ToolResult[] }> {
  const at = toolCalls.findIndex((call) => call.name === closing);
  const before = at === -1 ? toolCalls : toolCalls.slice(0, at);
  const run = before.slice(0, MAX_CALLS);
  const results = run.length === 0 ? [] : [...(await act(talk.turn, run))];
  for (const { id, name } of before.slice(MAX_CALLS)) {
    results.push({ callId: id, name, status: 'error', output: LOOP_TEXT.tooManyCalls(MAX_CALLS) });
  }
  let closed: { value: T } | undefined;
  for (const call of at === -1 ? [] : toolCalls.slice(at)) {
    if (closed !== undefined || call.name !== closing) {
      results.push({ callId: call.id, name: call.name, status: 'error', output: LOOP_TEXT.afterClosing(closing) });
      continue;
    }
    const verdict = close(call);
    if (verdict.ok) closed = { value: verdict.value };
    const output = verdict.ok ? 'Accepted.' : verdict.error;
    results.push({ callId: call.id, name: call.name, status: verdict.ok ? 'ok' : 'error', output });
  }
  talk.messages.push({ role: 'tool', results });
  return closed === undefined ? { results } : { closed, results };
}

function needsCompaction(talk: Conversation, compactTokens: number): boolean {
  if (talk.messages.length <= 3) return false;
  if (talk.inputTokens > compactTokens) return true;
  return transcriptChars(talk.messages) > MAX_TRANSCRIPT_CHARS;
}

export function transcriptChars(messages: readonly Message[]): number {
  let chars = 0;
  for (const message of messages) {
    if (message.role === 'tool') for (const result of message.results) chars += result.output.length + 100;
    else chars += message.text.length + 50;
    if (message.role === 'assistant') for (const call of message.toolCalls) chars += call.arguments.length + 100;
  }
  return chars;
}

function limitReached(limits: Limits, talk: Conversation, since: Baseline): string | null {
  const turns = talk.turn - since.turns;
  if (turns >= limits.turns) return `The limit of ${limits.turns} turns is reached.`;
  const tokens = talk.metrics.inputTokens + talk.metrics.outputTokens - since.tokens;
  if (tokens >= limits.tokens) return `The limit of ${limits.tokens} tokens is reached (${tokens} used).`;
  if (Date.now() - since.at >= limits.minutes * 60_000) return `The limit of ${limits.minutes} minutes is reached.`;
  return null;
}

/** Counts how often in a row the same calls gave the same results. */
class Repeats {
  private last = '';
  private times = 0;

  seen(calls: readonly ToolCall[], results: readonly ToolResult[]): number {
    const signature = JSON.stringify([
      calls.map((call) => [call.name, call.arguments]),
      results.map((result) => [result.status, result.output]),
    ]);
    this.times = signature === this.last ? this.times + 1 : 1;
    this.last = signature;
    return this.times;
  }
}

/** The chain of the workflow that runs this code. */
export function ownChain(): Chain {
  const { workflowId, firstExecutionRunId } = workflowInfo();
  return { workflowId, firstRunId: firstExecutionRunId };
}
