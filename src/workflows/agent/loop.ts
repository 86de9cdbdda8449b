/**
 * The agent loop that all roles share: think, act, until the role's closing tool is called with arguments
 * that its caller accepts. Invariants:
 * 1. Each message is in history once, as the result of the activity that made it.
 * 2. A turn number is used for one think only: it is part of the call's Idempotency-Key.
 * 3. The loop ends: by the closing call, a limit, a stall, or answers that are no use.
 */
import type { Limits, ThinkRequest, ThinkResult, ToolCall, ToolResult } from '../../shared/contracts/agent.ts';
import type { Budget } from '../../shared/contracts/budget.ts';
import { ROLE_TOOLS, type ToolName } from '../../shared/agent/tools.ts';
import { LOOP_TEXT } from '../../shared/agent/text.ts';
import { type Asker, questionOf, thinkOrCompact } from './think.ts';
import { type Conversation, count, needsCompaction } from './conversation.ts';
import {
  type Baseline,
  inFlight,
  limitNear,
  limitReached,
  Repeats,
  roomOf,
  STALL_REPEATS,
  timeReached,
} from './limits.ts';

export type LoopEnd<T> =
  | { kind: 'closed'; value: T }
  /** `limit` and `stall` leave work worth handing off; `useless` is a model that does not play its part. */
  | { kind: 'stopped'; by: 'limit' | 'budget' | 'stall' | 'useless'; reason: string }
  /** The transcript is long, or (`tooLong`) longer than the model takes: the caller compacts and comes back. */
  | { kind: 'compact'; tooLong: boolean };

export type LoopOptions<T> = Asker & {
  limits: Limits;
  compactTokens: number;
  /**
   * Runs the calls of one turn, in order; one result for each. With `next` it may have the model answer them at
   * once, in the same activity.
   */
  act: (turn: number, calls: ToolCall[], next?: ThinkRequest) => Promise<Acted>;
  /** Parses and checks the closing call; an error goes back to the model, unless this is its last turn. */
  close: (call: ToolCall, at: ClosingTurn) => Verdict<T> | Promise<Verdict<T>>;
  /** What limits are counted from; the conversation's start unless given (a planner counts each round). */
  since?: Baseline;
  /** A hard bound of the conversation's metrics: a call that might not fit is not made. */
  budget?: Budget;
  inbox?: Inbox;
  /** The model's answer to the conversation as it is, where its opening brought it along. */
  first?: ThinkResult | undefined;
  /** ms since the epoch; in workflows the clock of the workflow. */
  now?: () => number;
};

/** `refused`: how many calls of the same answer were not run, as it was the last one. */
export type ClosingTurn = { last: boolean; refused: number };

/** What was said to an agent while it works: told before its next call. */
export type Inbox = {
  readonly waiting: boolean;
  /** `handOff`: why it has to hand off now. */
  take(): { texts: string[]; handOff?: string };
};

/** What becomes of a closing call. */
export type Verdict<T> = { ok: true; value: T } | { ok: false; error: string };

export type Acted = { results: ToolResult[]; answer?: ThinkResult | undefined };

/** Of one turn: 30 kB each must fit into one result of at most 1.5 MB, and into the transcript. */
const MAX_CALLS = 16;
const MAX_ANSWERS_WITHOUT_CALL = 3;
/** The most that a tool gives: 30 kB. */
const RESULT_TOKENS = 10_000;
const TURN_TOKENS = MAX_CALLS * RESULT_TOKENS;

export async function runAgent<T>(options: LoopOptions<T>): Promise<LoopEnd<T>> {
  const { role, conversation: talk, limits, act, close, budget, maxOutputTokens, now = () => Date.now() } = options;
  // The same in each call: a provider's cache holds nothing of a conversation whose tools have changed.
  const { closing, tools } = ROLE_TOOLS[role];
  const since = options.since ?? { turns: 0, tokens: 0, costUsd: 0, at: talk.startedAt };
  const repeats = new Repeats();
  let withoutCall = 0;
  let empty = 0;
  let lastChance = false;
  let warned = false;
  /** The model's answer, where the last turn's tools brought it along. */
  let early = options.first;

  for (;;) {
    if (early === undefined) {
      const said = options.inbox?.take();
      for (const text of said?.texts ?? []) talk.messages.push({ role: 'user', text });
      const room = roomOf(talk, budget, maxOutputTokens);
      if (room === 'none') return { kind: 'stopped', by: 'budget', reason: LOOP_TEXT.budgetSpent };
      const reached =
        limitReached(limits, talk, since, now()) ?? (room === 'last' ? LOOP_TEXT.budgetSpent : (said?.handOff ?? null));
      // A limit first: a model that does not close could be compacted for ever, each time with a last turn anew.
      if (reached === null && needsCompaction(talk, options.compactTokens)) return { kind: 'compact', tooLong: false };
      const near = warned || reached !== null ? null : limitNear(limits, talk, since, now());
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
    const answer = early ?? (await thinkOrCompact(options, tools));
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

    const late = lastChance ? null : timeReached(limits, talk, since, now());
    if (late !== null && toolCalls[0]?.name !== closing) {
      // It gets its last turn, with nothing begun that might take long.
      talk.messages.push({ role: 'tool', results: toolCalls.map((call) => notRun(call, LOOP_TEXT.tooLate(late))) });
      continue;
    }

    // Where something must be said or decided before the next call, the tools run by themselves.
    const plain =
      !lastChance &&
      !repeats.near(toolCalls) &&
      limitReached(limits, talk, since, now()) === null &&
      options.inbox?.waiting !== true &&
      roomOf(talk, budget, maxOutputTokens, TURN_TOKENS) === 'free' &&
      (warned || limitNear(limits, talk, since, now()) === null) &&
      !needsCompaction(talk, options.compactTokens);
    const next = plain ? questionOf(options, talk.turn + 1, tools) : undefined;
    const ended = await takeTurn({ talk, toolCalls, closing, last: lastChance, next, act, close });
    if (ended.closed !== undefined) return { kind: 'closed', value: ended.closed.value };
    early = ended.answer;
    const times = repeats.seen(toolCalls, ended.results);
    if (times > STALL_REPEATS) {
      return { kind: 'stopped', by: 'stall', reason: `The same call gave the same result ${times} times.` };
    }
    if (times === STALL_REPEATS) talk.messages.push({ role: 'user', text: LOOP_TEXT.stall(times, closing) });
  }
}

type Turn<T> = Pick<LoopOptions<T>, 'act' | 'close'> & {
  talk: Conversation;
  toolCalls: ToolCall[];
  closing: ToolName;
  /** Only the closing call counts. */
  last: boolean;
  next: ThinkRequest | undefined;
};

/** Runs a turn's calls up to the closing one; what stands behind it is not run, nor anything else in the last turn. */
async function takeTurn<T>(turn: Turn<T>): Promise<Acted & { closed?: { value: T } }> {
  const { talk, toolCalls, closing, last, next, act, close } = turn;
  const at = toolCalls.findIndex((call) => call.name === closing);
  const before = at === -1 ? toolCalls : toolCalls.slice(0, at);
  const run = last ? [] : before.slice(0, MAX_CALLS);
  // The model can answer at once only where the tools give all of the results.
  const whole = run.length === toolCalls.length;
  const asks = whole ? next : undefined;
  if (asks !== undefined) talk.inFlight = inFlight(talk, asks.maxOutputTokens, run.length * RESULT_TOKENS);
  const acted: Acted = run.length === 0 ? { results: [] } : await act(talk.turn, run, asks);
  delete talk.inFlight;
  const results = [...acted.results];
  const why = last ? LOOP_TEXT.lastTurnOnly(closing) : LOOP_TEXT.tooManyCalls(MAX_CALLS);
  for (const call of before.slice(run.length)) results.push(notRun(call, why));
  let closed: { value: T } | undefined;
  for (const call of at === -1 ? [] : toolCalls.slice(at)) {
    if (closed !== undefined || call.name !== closing) {
      results.push(notRun(call, LOOP_TEXT.afterClosing(closing)));
      continue;
    }
    const verdict = await close(call, { last, refused: last ? before.length : 0 });
    if (verdict.ok) closed = { value: verdict.value };
    const output = verdict.ok ? 'Accepted.' : verdict.error;
    results.push({ callId: call.id, name: call.name, status: verdict.ok ? 'ok' : 'error', output });
  }
  talk.messages.push({ role: 'tool', results });
  return { results, answer: acted.answer, ...(closed === undefined ? {} : { closed }) };
}

const notRun = ({ id, name }: ToolCall, why: string): ToolResult => ({
  callId: id,
  name,
  status: 'error',
  output: why,
});
