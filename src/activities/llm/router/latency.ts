/**
 * How long an answer of a model at an endpoint takes: exponentially weighted means of the time to the first token
 * and of the rate after it, so that a long answer is not taken for a slow endpoint. Pure.
 */
const WEIGHT_OF_NEWEST = 0.25;
/** An answer of so many tokens is what endpoints are compared by. */
const REFERENCE_TOKENS = 300;

export type Latency = {
  readonly firstTokenMs: number;
  /** Means of the time after the first token and of the tokens in it; their quotient is the rate. */
  readonly generationMs: number;
  readonly tokens: number;
  /** 0: what is here are penalties, lower bounds that say nothing about an answer. */
  readonly answers: number;
};

export type Answer = { firstTokenMs: number; durationMs: number; outputTokens: number };

const mean = (before: number, newest: number): number => before + WEIGHT_OF_NEWEST * (newest - before);

export function observe(before: Latency | undefined, answer: Answer): Latency {
  const newest = {
    firstTokenMs: answer.firstTokenMs,
    generationMs: Math.max(0, answer.durationMs - answer.firstTokenMs),
    tokens: answer.outputTokens,
    answers: 1,
  };
  if (before === undefined || before.answers === 0) return newest;
  return {
    firstTokenMs: mean(before.firstTokenMs, newest.firstTokenMs),
    generationMs: mean(before.generationMs, newest.generationMs),
    tokens: mean(before.tokens, newest.tokens),
    answers: before.answers + 1,
  };
}

/** A call that came to nothing after `ms`, waits that were asked for included: it counts as slow, never as fast. */
export function penalise(before: Latency | undefined, ms: number): Latency {
  if (before === undefined) return { firstTokenMs: ms, generationMs: 0, tokens: 0, answers: 0 };
  return ms <= before.firstTokenMs ? before : { ...before, firstTokenMs: mean(before.firstTokenMs, ms) };
}

/** Milliseconds for an answer of 300 tokens. */
export const expectedMs = ({ firstTokenMs, generationMs, tokens }: Latency): number =>
  firstTokenMs + (tokens > 0 ? (generationMs / tokens) * REFERENCE_TOKENS : 0);
