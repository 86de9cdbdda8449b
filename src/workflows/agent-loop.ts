/**
 * The agent loop that all roles share: think, act, until the role's closing tool is called with arguments
 * that its caller accepts. Invariants:
 * 1. Each message is in history once, as the result of the activity that made it.
 * 2. A turn number is used for one think only: it is part of the call's Idempotency-Key.
 * 3. The loop ends: by the closing call, a limit, a stall, or answers that are no use.
 */
import { workflowInfo } from '@temporalio/workflow';
import type {
  Limits,
  Message,
  Role,
  ThinkRequest,
  ThinkResult,
  ToolCall,
  ToolResult,
} from '../shared/contracts/agent.ts';
import type { Budget } from '../shared/contracts/budget.ts';
import { addMetrics, type AgentMetrics, NO_METRICS } from '../shared/contracts/task.ts';
import { callEstimate, roomFor, spentOf } from '../shared/decisions/budget.ts';
import { FailureType, failureTypeOf } from '../shared/failures.ts';
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
  | { kind: 'stopped'; by: 'limit' | 'budget' | 'stall' | 'useless'; reason: string }
  /** The transcript is long, or (`tooLong`) longer than the model takes: the caller compacts and comes back. */
  | { kind: 'compact'; tooLong: boolean };

export type LoopOptions<T> = {
  role: Role;
  conversation: Conversation;
  agent: Chain;
  ancestors: Chain[];
  limits: Limits;
  maxOutputTokens: number;
  compactTokens: number;
  /**
   * Runs the calls of one turn, in order; one result for each. With `next` it may have the model answer them at
   * once, in the same activity.
   */
  act: (turn: number, calls: ToolCall[], next?: ThinkRequest) => Promise<Acted>;
  /** Parses and checks the closing call; an error goes back to the model, unless this is its `last` turn. */
  close: (call: ToolCall, last: boolean) => Verdict<T> | Promise<Verdict<T>>;
  /** What limits are counted from; the conversation's start unless given (a planner counts each round). */
  since?: Baseline;
  /** A hard bound of the conversation's metrics: a call that might not fit is not made. */
  budget?: Budget;
  inbox?: Inbox;
};

/** What was said to an agent while it works: told before its next call. */
export type Inbox = {
  readonly waiting: boolean;
  /** `handOff`: why it has to hand off now. */
  take(): { texts: string[]; handOff?: string };
};

/** What becomes of a closing call. */
export type Verdict<T> = { ok: true; value: T } | { ok: false; error: string };

export type Acted = { results: ToolResult[]; answer?: ThinkResult | undefined };

export type Baseline = { turns: number; tokens: number; costUsd: number; at: number };

export const baselineOf = (talk: Conversation, now: number): Baseline => ({
  turns: talk.turn,
  tokens: talk.metrics.inputTokens + talk.metrics.outputTokens,
  costUsd: talk.metrics.costUsd,
  at: now,
});

/** Beyond this a query's answer nears gRPC's limit (DESIGN: 1.5 MB takes 0.1 s, 2.2 MB fails). */
const MAX_TRANSCRIPT_CHARS = 900_000;
/** Of one turn: 30 kB each must fit into one result of at most 1.5 MB, and into the transcript. */
const MAX_CALLS = 16;
const MAX_ANSWERS_WITHOUT_CALL = 3;
const STALL_REPEATS = 3;
/** Part of a limit, after which the model is told once to come to an end. */
const WARN_AT = 0.8;
/** Tools and their schemas, before the first call has been counted. */
const FRAME_TOKENS = 2_000;
/** The most that the tools of one turn give: MAX_CALLS results of 30 kB. */
const TURN_TOKENS = 160_000;
/** Few, so that estimates are rather too high: code has about four characters a token. */
const CHARS_PER_TOKEN = 3;

export async function runAgent<T>(options: LoopOptions<T>): Promise<LoopEnd<T>> {
  const { role, conversation: talk, limits, act, close } = options;
  const closing = ROLE_TOOLS[role].closing;
  const since = options.since ?? { turns: 0, tokens: 0, costUsd: 0, at: talk.startedAt };
  const repeats = new Repeats();
  let withoutCall = 0;
  let empty = 0;
  let lastChance = false;
  let warned = false;
  /** The model's answer, where the last turn's tools brought it along. */
  let early: ThinkResult | undefined;

  for (;;) {
    if (early === undefined) {
      const said = options.inbox?.take();
      for (const text of said?.texts ?? []) talk.messages.push({ role: 'user', text });
      const room = roomOf(options);
      if (room === 'none') return { kind: 'stopped', by: 'budget', reason: LOOP_TEXT.budgetSpent };
      const reached =
        limitReached(limits, talk, since) ?? (room === 'last' ? LOOP_TEXT.budgetSpent : (said?.handOff ?? null));
      // A limit first: a model that does not close could be compacted for ever, each time with a last turn anew.
      if (reached === null && needsCompaction(talk, options.compactTokens)) return { kind: 'compact', tooLong: false };
      const near = warned || reached !== null ? null : limitNear(limits, talk, since);
      if (near !== null) {
        warned = true;
        talk.messages.push({ role: 'user', text: LOOP_TEXT.limitNear(near, closing) });
      }
      if (reached !== null) {
        if (lastChance) return { kind: 'stopped', by: room === 'free' ? 'limit' : 'budget', reason: reached };
        lastChance = true;
        talk.messages.push({ role: 'user', text: LOOP_TEXT.lastTurn(reached, closing) });
      }
    }
    const answer = early ?? (await thinkOrCompact(options, lastChance ? [closing] : ROLE_TOOLS[role].tools));
    if (answer === 'too-long') return { kind: 'compact', tooLong: true };
    if (early !== undefined) count(talk, early);
    early = undefined;
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

    // Where something must be said or decided before the next call, the tools run by themselves.
    const plain =
      !lastChance &&
      !repeats.near(toolCalls) &&
      limitReached(limits, talk, since) === null &&
      options.inbox?.waiting !== true &&
      roomOf(options, TURN_TOKENS) === 'free' &&
      (warned || limitNear(limits, talk, since) === null) &&
      !needsCompaction(talk, options.compactTokens);
    const next = plain ? questionOf(options, talk.turn + 1, ROLE_TOOLS[role].tools) : undefined;
    const ended = await takeTurn(talk, toolCalls, closing, next, act, (call) => close(call, lastChance));
    if (ended.closed !== undefined) return { kind: 'closed', value: ended.closed.value };
    early = ended.answer;
    const times = repeats.seen(toolCalls, ended.results);
    if (times > STALL_REPEATS) {
      return { kind: 'stopped', by: 'stall', reason: `The same call gave the same result ${times} times.` };
    }
    if (times === STALL_REPEATS) talk.messages.push({ role: 'user', text: LOOP_TEXT.stall(times, closing) });
  }
}

/** One call of the model over the whole transcript; counts the turn and what it cost. */
export async function think(options: Asker, tools: readonly ToolName[]): Promise<ThinkResult> {
  const { conversation: talk } = options;
  const question = questionOf(options, talk.turn + 1, tools);
  try {
    const answer = await llmActivities.think.executeWithOptions({ summary: `think ${question.turn}` }, [question]);
    count(talk, answer);
    return answer;
  } catch (error) {
    // Its number is used: the next question under it would be another one.
    if (failureTypeOf(error) === FailureType.ContextTooLong) talk.turn += 1;
    throw error;
  }
}

/** A conversation that the model cannot take is compacted where there is something to compact. */
async function thinkOrCompact(options: Asker, tools: readonly ToolName[]): Promise<ThinkResult | 'too-long'> {
  try {
    return await think(options, tools);
  } catch (error) {
    if (failureTypeOf(error) !== FailureType.ContextTooLong || !isCompactable(options.conversation)) throw error;
    return 'too-long';
  }
}

export type Asker = Pick<LoopOptions<unknown>, 'role' | 'conversation' | 'agent' | 'ancestors' | 'maxOutputTokens'>;

/** The request for a call over the transcript as it is now. */
function questionOf(options: Asker, turn: number, tools: readonly ToolName[]): ThinkRequest {
  const { conversation: talk } = options;
  return {
    role: options.role,
    turn,
    messageCount: talk.messages.length,
    tail: tailDigest(talk.messages),
    conversation: talk.number,
    tools: [...tools],
    agent: options.agent,
    ancestors: options.ancestors,
    maxOutputTokens: options.maxOutputTokens,
  };
}

/** A turn is counted once it is answered. */
function count(talk: Conversation, answer: ThinkResult): void {
  talk.turn += 1;
  talk.inputTokens = answer.usage.inputTokens;
  talk.metrics = addMetrics(talk.metrics, {
    turns: 1,
    toolCalls: answer.message.toolCalls.length,
    ...answer.usage,
    costUsd: answer.costUsd,
    durationMs: answer.durationMs,
  });
}

/** Runs a turn's calls up to the closing one; what stands behind it is not run. */
async function takeTurn<T>(
  talk: Conversation,
  toolCalls: ToolCall[],
  closing: ToolName,
  next: ThinkRequest | undefined,
  act: LoopOptions<T>['act'],
  close: (call: ToolCall) => Verdict<T> | Promise<Verdict<T>>,
): Promise<Acted & { closed?: { value: T } }> {
  const at = toolCalls.findIndex((call) => call.name === closing);
  const before = at === -1 ? toolCalls : toolCalls.slice(0, at);
  const run = before.slice(0, MAX_CALLS);
  // The model can answer at once only where the tools give all of the results.
  const whole = run.length === toolCalls.length;
  const acted: Acted = run.length === 0 ? { results: [] } : await act(talk.turn, run, whole ? next : undefined);
  const results = [...acted.results];
  for (const { id, name } of before.slice(MAX_CALLS)) {
    results.push({ callId: id, name, status: 'error', output: LOOP_TEXT.tooManyCalls(MAX_CALLS) });
  }
  let closed: { value: T } | undefined;
  for (const call of at === -1 ? [] : toolCalls.slice(at)) {
    if (closed !== undefined || call.name !== closing) {
      results.push({ callId: call.id, name: call.name, status: 'error', output: LOOP_TEXT.afterClosing(closing) });
      continue;
    }
    const verdict = await close(call);
    if (verdict.ok) closed = { value: verdict.value };
    const output = verdict.ok ? 'Accepted.' : verdict.error;
    results.push({ callId: call.id, name: call.name, status: verdict.ok ? 'ok' : 'error', output });
  }
  talk.messages.push({ role: 'tool', results });
  return { results, answer: acted.answer, ...(closed === undefined ? {} : { closed }) };
}

function needsCompaction(talk: Conversation, compactTokens: number): boolean {
  if (!isCompactable(talk)) return false;
  if (talk.inputTokens > compactTokens) return true;
  return transcriptChars(talk.messages) > MAX_TRANSCRIPT_CHARS;
}

/** Whether the model has said anything since the brief, or since the last summary. */
const isCompactable = ({ messages }: Conversation): boolean =>
  messages.length > 3 && messages.some(({ role }) => role === 'assistant');

export function transcriptChars(messages: readonly Message[]): number {
  let chars = 0;
  for (const message of messages) {
    if (message.role === 'tool') for (const result of message.results) chars += result.output.length + 100;
    else chars += message.text.length + 50;
    if (message.role === 'assistant') for (const call of message.toolCalls) chars += call.arguments.length + 100;
  }
  return chars;
}

type Use = { what: string; used: number; limit: number };

/** How much of each limit is used. */
function uses(limits: Limits, talk: Conversation, since: Baseline): Use[] {
  const { inputTokens, outputTokens, costUsd } = talk.metrics;
  const money =
    limits.costUsd === undefined ? [] : [{ what: 'USD', used: costUsd - since.costUsd, limit: limits.costUsd }];
  return [
    { what: 'turns', used: talk.turn - since.turns, limit: limits.turns },
    { what: 'tokens', used: inputTokens + outputTokens - since.tokens, limit: limits.tokens },
    ...money,
    { what: 'minutes', used: (Date.now() - since.at) / 60_000, limit: limits.minutes },
  ];
}

function limitReached(limits: Limits, talk: Conversation, since: Baseline): string | null {
  const reached = uses(limits, talk, since).find(({ used, limit }) => used >= limit);
  return reached === undefined ? null : LOOP_TEXT.limitReached(reached);
}

/** The limit that is nearest, once so much of it is used that the work should be brought to an end. */
function limitNear(limits: Limits, talk: Conversation, since: Baseline): Use | null {
  const near = uses(limits, talk, since).filter(({ used, limit }) => used >= WARN_AT * limit);
  return near.toSorted((a, b) => b.used / b.limit - a.used / a.limit)[0] ?? null;
}

type Bounded = Pick<LoopOptions<unknown>, 'budget' | 'conversation' | 'maxOutputTokens'>;

/**
 * Whether the budget has room for the next call: its whole input, as far as it is known, `more` tokens that may come
 * before it, and its longest answer.
 */
function roomOf({ budget, conversation: talk, maxOutputTokens }: Bounded, more = 0): 'free' | 'last' | 'none' {
  if (budget === undefined) return 'free';
  const spent = spentOf(talk.metrics);
  const newest = talk.messages.findLastIndex((message) => message.role === 'assistant');
  const known = talk.inputTokens > 0 && newest !== -1;
  const fresh = transcriptChars(known ? talk.messages.slice(newest) : talk.messages);
  const input = (known ? talk.inputTokens : FRAME_TOKENS) + Math.ceil(fresh / CHARS_PER_TOKEN);
  return roomFor(budget, spent, callEstimate(input + more, maxOutputTokens, spent));
}

/** Counts how often in a row the same calls gave the same results. */
class Repeats {
  private last = '';
  private times = 0;

  /** Whether the same result once more would have to be spoken of. */
  near(calls: readonly ToolCall[]): boolean {
    return this.times >= STALL_REPEATS - 1 && this.last.startsWith(callsOf(calls));
  }

  seen(calls: readonly ToolCall[], results: readonly ToolResult[]): number {
    const signature = callsOf(calls) + JSON.stringify(results.map((result) => [result.status, result.output]));
    this.times = signature === this.last ? this.times + 1 : 1;
    this.last = signature;
    return this.times;
  }
}

const callsOf = (calls: readonly ToolCall[]): string =>
  JSON.stringify(calls.map((call) => [call.name, call.arguments]));

/** The chain of the workflow that runs this code. */
export function ownChain(): Chain {
  const { workflowId, firstExecutionRunId } = workflowInfo();
  return { workflowId, firstRunId: firstExecutionRunId };
}
