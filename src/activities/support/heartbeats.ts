/** Heartbeats of activities that have nothing to say but that they live: a killed worker is noticed by their end. */
import { Context } from '@temporalio/activity';

/** A heartbeat timeout well above this can be set. */
const HEARTBEAT_MS = 2_000;

/** Heartbeats until the body has ended; the signal is aborted when the activity is cancelled. */
export async function heartbeating<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const context = Context.current();
  const beating = setInterval(() => context.heartbeat(), HEARTBEAT_MS);
  try {
    return await body(context.cancellationSignal);
  } finally {
    clearInterval(beating);
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
