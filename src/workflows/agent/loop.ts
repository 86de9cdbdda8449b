/**
 * The agent loop that all roles share: think, act, until the role's closing tool is called with arguments
 * that its caller accepts. Invariants:
 * 1. Each message is in history once, as the result of the activity that made it.
 * 2. A turn number is used for one think only: it is part of the call's Idempotency-Key.
 * 3. The loop ends: by the closing call, a limit, a stall, or answers that are no use.
 */
import type { Limits, Message, ThinkRequest, ThinkResult, ToolCall, ToolResult } from '../../shared/contracts/agent.ts';
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
  close: (call: ToolCall, at: ClosingTurn) => ClosingResult<T> | Promise<ClosingResult<T>>;
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
export type ClosingResult<T> = { ok: true; value: T } | { ok: false; error: string };

export type Acted = { results: ToolResult[]; answer?: ThinkResult | undefined };

/** Of one turn: 30 kB each must fit into one result of at most 1.5 MB, and into the transcript. */
const MAX_CALLS = 16;
const MAX_ANSWERS_WITHOUT_CALL = 3;
/** The most that a tool gives: 30 kB. */
const RESULT_TOKENS = 10_000;
const TURN_TOKENS = MAX_CALLS * RESULT_TOKENS;

export async function runAgent<T>(options: LoopOptions<T>): Promise<LoopEnd<T>> {
  return await new Loop(options).run();
}

class Loop<T> {
  private readonly options: LoopOptions<T>;
  private readonly talk: Conversation;
  private readonly closing: ToolName;
  /** The same in each call: a provider's cache holds nothing of a conversation whose tools have changed. */
  private readonly tools: readonly ToolName[];
  private readonly since: NonNullable<LoopOptions<T>['since']>;
  private readonly now: () => number;
  private readonly repeats = new Repeats();
  private answersWithoutCall = 0;
  private emptyAnswers = 0;
  private lastChance = false;
  private warned = false;
  /** The model's answer, where the last turn's tools brought it along. */
  private early: ThinkResult | undefined;

  constructor(options: LoopOptions<T>) {
    const { role, conversation, since, now = () => Date.now(), first } = options;
    const { closing, tools } = ROLE_TOOLS[role];
    this.options = options;
    this.talk = conversation;
    this.closing = closing;
    this.tools = tools;
    this.since = since ?? { turns: 0, tokens: 0, costUsd: 0, at: conversation.startedAt };
    this.now = now;
    this.early = first;
  }

  async run(): Promise<LoopEnd<T>> {
    for (;;) {
      if (this.early === undefined) {
        const end = this.beforeCall();
        if (end !== undefined) return end;
      }
      const answer = this.early ?? (await thinkOrCompact(this.options, this.tools));
      if (answer === 'too-long') return { kind: 'compact', tooLong: true };
      if (this.early !== undefined) count(this.talk, this.early);
      this.early = undefined;
      const { message } = answer;
      const end = message.toolCalls.length === 0 ? this.withoutCall(message) : await this.withCalls(message);
      if (end !== undefined) return end;
    }
  }

  /** What people said, limits and compaction, in this order, before the model is asked. */
  private beforeCall(): LoopEnd<T> | undefined {
    const { talk, closing, options, since } = this;
    const { limits, budget, maxOutputTokens, compactTokens, inbox } = options;
    const inboxMessages = inbox?.take();
    for (const text of inboxMessages?.texts ?? []) talk.messages.push({ role: 'user', text });
    const room = roomOf(talk, budget, maxOutputTokens);
    if (room === 'none') return { kind: 'stopped', by: 'budget', reason: LOOP_TEXT.budgetSpent };
    const reached =
      limitReached(limits, talk, since, this.now()) ??
      (room === 'last' ? LOOP_TEXT.budgetSpent : (inboxMessages?.handOff ?? null));
    // A limit first: a model that does not close could be compacted for ever, each time with a last turn anew.
    if (reached === null && needsCompaction(talk, compactTokens)) return { kind: 'compact', tooLong: false };
    const near = this.warned || reached !== null ? null : limitNear(limits, talk, since, this.now());
    if (near !== null) {
      this.warned = true;
      talk.messages.push({ role: 'user', text: LOOP_TEXT.limitNear(near, closing) });
    }
    if (reached === null) return undefined;
    if (this.lastChance) return { kind: 'stopped', by: room === 'free' ? 'limit' : 'budget', reason: reached };
    this.lastChance = true;
    talk.messages.push({ role: 'user', text: LOOP_TEXT.lastTurn(reached, closing) });
    return undefined;
  }

  private withoutCall(message: Extract<Message, { role: 'assistant' }>): LoopEnd<T> | undefined {
    const { talk, closing } = this;
    if (message.text.trim() === '') {
      this.emptyAnswers += 1;
      if (this.emptyAnswers <= 1) return undefined;
      return { kind: 'stopped', by: 'useless', reason: 'The model answered nothing, twice.' };
    }
    this.emptyAnswers = 0;
    talk.messages.push(message);
    this.answersWithoutCall += 1;
    if (this.answersWithoutCall >= MAX_ANSWERS_WITHOUT_CALL) {
      const reason = `The model answered ${this.answersWithoutCall} times without calling a tool.`;
      return { kind: 'stopped', by: 'useless', reason };
    }
    talk.messages.push({ role: 'user', text: LOOP_TEXT.callATool(closing) });
    return undefined;
  }

  private async withCalls(message: Extract<Message, { role: 'assistant' }>): Promise<LoopEnd<T> | undefined> {
    const { talk, closing, options, since, repeats, lastChance } = this;
    const { limits, act, close } = options;
    const { toolCalls } = message;
    this.emptyAnswers = 0;
    talk.messages.push(message);
    this.answersWithoutCall = 0;
    const late = lastChance ? null : timeReached(limits, talk, since, this.now());
    if (late !== null && toolCalls[0]?.name !== closing) {
      // It gets its last turn, with nothing begun that might take long.
      talk.messages.push({ role: 'tool', results: toolCalls.map((call) => notRun(call, LOOP_TEXT.tooLate(late))) });
      return undefined;
    }
    const next = this.mayAskAtOnce(toolCalls) ? questionOf(options, talk.turn + 1, this.tools) : undefined;
    const ended = await takeTurn({ talk, toolCalls, closing, last: lastChance, next, act, close });
    if (ended.closed !== undefined) return { kind: 'closed', value: ended.closed.value };
    this.early = ended.answer;
    const times = repeats.seen(toolCalls, ended.results);
    if (times > STALL_REPEATS) {
      return { kind: 'stopped', by: 'stall', reason: `The same call gave the same result ${times} times.` };
    }
    if (times === STALL_REPEATS) talk.messages.push({ role: 'user', text: LOOP_TEXT.stall(times, closing) });
    return undefined;
  }

  /** Where something must be said or decided before the next call, the tools run by themselves. */
  private mayAskAtOnce(toolCalls: readonly ToolCall[]): boolean {
    const { talk, options, since } = this;
    const { limits, inbox, budget, maxOutputTokens, compactTokens } = options;
    return (
      !this.lastChance &&
      !this.repeats.near(toolCalls) &&
      limitReached(limits, talk, since, this.now()) === null &&
      inbox?.waiting !== true &&
      roomOf(talk, budget, maxOutputTokens, TURN_TOKENS) === 'free' &&
      (this.warned || limitNear(limits, talk, since, this.now()) === null) &&
      !needsCompaction(talk, compactTokens)
    );
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
