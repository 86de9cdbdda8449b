/**
 * The heartbeats of activities: a worker that was killed is noticed by their end, and a cancellation arrives with their
 * answer. What must survive the process is in a journal, not in their details.
 */
import { CancelledFailure, Context } from '@temporalio/activity';

/** A heartbeat timeout well above this can be set. */
const HEARTBEAT_MS = 2_000;

export type Beats = {
  /** Aborted when the activity is cancelled. */
  signal: AbortSignal;
  /** What the next heartbeats say. */
  beat: (details: unknown) => void;
  /** Heartbeats at once, for whoever waits for a cancellation. */
  now: () => void;
};

/** Heartbeats with what `details` says by then, every `everyMs`. @returns what ends it. */
export function startBeats(details: () => unknown, everyMs: number): () => void {
  const context = Context.current();
  const timer = setInterval(() => context.heartbeat(details()), everyMs);
  return () => clearInterval(timer);
}

/**
 * Heartbeats until the body has ended.
 * @param options.details what is said until the body says something else.
 * @throws what the body throws; the activity's CancelledFailure instead when it has been cancelled.
 */
export async function heartbeating<T>(
  body: (beats: Beats) => Promise<T>,
  options: { details?: unknown; everyMs?: number } = {},
): Promise<T> {
  const context = Context.current();
  const { cancellationSignal: signal } = context;
  let { details } = options;
  const beat = (next: unknown): void => {
    details = next;
  };
  const stop = startBeats(() => details, options.everyMs ?? HEARTBEAT_MS);
  try {
    return await body({ signal, beat, now: () => context.heartbeat(details) });
  } catch (error) {
    await throwIfCancelled(signal);
    throw error;
  } finally {
    stop();
  }
}

/** The same activities, each heartbeating while it runs. */
export function withHeartbeats<T extends object>(activities: T): T {
  return Object.fromEntries(
    Object.entries(activities).map(([name, activity]: [string, (request: unknown) => Promise<unknown>]) => [
      name,
      (request: unknown) => heartbeating(() => activity(request)),
    ]),
  ) as T;
}

/** Throws the activity's CancelledFailure when it has been cancelled. */
export async function throwIfCancelled(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) return;
  await Context.current().cancelled;
  throw new CancelledFailure('CANCELLED');
}
