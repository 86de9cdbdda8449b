/** How much of its limits and its budget an agent has used, and whether it goes round in circles. Pure. */
import type { Limits, ToolCall, ToolResult } from '../../shared/contracts/agent.ts';
import type { Budget, Spent } from '../../shared/contracts/budget.ts';
import { callEstimate, roomFor, spentOf } from '../../shared/planner/budget.ts';
import { LOOP_TEXT } from '../../shared/agent/text.ts';
import { type Conversation, transcriptChars } from './conversation.ts';

/** What limits are counted from. */
export type Baseline = { turns: number; tokens: number; costUsd: number; at: number };

export const baselineOf = (talk: Conversation, now: number): Baseline => ({
  turns: talk.turn,
  tokens: talk.metrics.inputTokens + talk.metrics.outputTokens,
  costUsd: talk.metrics.costUsd,
  at: now,
});

/** Part of a limit, after which the model is told once to come to an end. */
const WARN_AT = 0.8;
/** Tools and their schemas, before the first call has been counted. */
const FRAME_TOKENS = 2_000;
/** Few, so that estimates are rather too high: code has about four characters a token. */
const CHARS_PER_TOKEN = 3;
/** The same call with the same result, so often in a row, is a stall. */
export const STALL_REPEATS = 3;

export type Use = { what: string; used: number; limit: number };

/** How much of each limit is used. `now` in ms since the epoch. */
function uses(limits: Limits, talk: Conversation, since: Baseline, now: number): Use[] {
  const { inputTokens, outputTokens, costUsd } = talk.metrics;
  const money =
    limits.costUsd === undefined ? [] : [{ what: 'USD', used: costUsd - since.costUsd, limit: limits.costUsd }];
  return [
    { what: 'turns', used: talk.turn - since.turns, limit: limits.turns },
    { what: 'tokens', used: inputTokens + outputTokens - since.tokens, limit: limits.tokens },
    ...money,
    { what: 'minutes', used: (now - since.at) / 60_000, limit: limits.minutes },
  ];
}

/** As a sentence; null: none is. */
export function limitReached(limits: Limits, talk: Conversation, since: Baseline, now: number): string | null {
  const reached = uses(limits, talk, since, now).find(({ used, limit }) => used >= limit);
  return reached === undefined ? null : LOOP_TEXT.limitReached(reached);
}

/** Of time only: an answer that came too late is no reason to run its tools, which may take long too. */
export function timeReached(limits: Limits, talk: Conversation, since: Baseline, now: number): string | null {
  const time = uses(limits, talk, since, now).filter(({ what }) => what === 'minutes');
  const reached = time.find(({ used, limit }) => used >= limit);
  return reached === undefined ? null : LOOP_TEXT.limitReached(reached);
}

/** The limit that is nearest, once so much of it is used that the work should be brought to an end. */
export function limitNear(limits: Limits, talk: Conversation, since: Baseline, now: number): Use | null {
  const near = uses(limits, talk, since, now).filter(({ used, limit }) => used >= WARN_AT * limit);
  return near.toSorted((a, b) => b.used / b.limit - a.used / a.limit)[0] ?? null;
}

/**
 * Whether the budget has room for the next call, before which `more` tokens may come.
 */
export function roomOf(
  talk: Conversation,
  budget: Budget | undefined,
  maxOutputTokens: number,
  more = 0,
): 'free' | 'last' | 'none' {
  if (budget === undefined) return 'free';
  return roomFor(budget, spentOf(talk.metrics), nextCall(talk, maxOutputTokens, more));
}

/** What the next call may cost, as far as it is known: of the first one, nobody knows the dollars. */
export function inFlight(talk: Conversation, maxOutputTokens: number, more = 0): Budget {
  const { tokens, usd } = nextCall(talk, maxOutputTokens, more);
  return spentOf(talk.metrics).tokens === 0 ? { tokens } : { tokens, usd };
}

/** Its whole input, as far as it is known, `more` tokens that may come before it, and its longest answer. */
function nextCall(talk: Conversation, maxOutputTokens: number, more: number): Spent {
  const newest = talk.messages.findLastIndex((message) => message.role === 'assistant');
  const known = talk.inputTokens > 0 && newest !== -1;
  const fresh = transcriptChars(known ? talk.messages.slice(newest) : talk.messages);
  const input = (known ? talk.inputTokens : FRAME_TOKENS) + Math.ceil(fresh / CHARS_PER_TOKEN);
  return callEstimate(input + more, maxOutputTokens, spentOf(talk.metrics));
}

/** Counts how often in a row the same calls gave the same results. */
export class Repeats {
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
