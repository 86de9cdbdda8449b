/** Heartbeats of a long activity, and its cancellation as Temporal wants it thrown. */
import { CancelledFailure, Context } from '@temporalio/activity';

export type Beats = { signal: AbortSignal; beat: (details: unknown) => void; stop: () => void };

/**
 * Repeats the last details every second, so that a command that takes long is not taken for a dead worker. What
 * ends before needs none: what must survive is in the journal.
 */
export function startBeats(first: unknown): Beats {
  const context = Context.current();
  let details = first;
  const beat = (next: unknown) => {
    details = next;
  };
  const timer = setInterval(() => context.heartbeat(details), 1_000);
  return { signal: context.cancellationSignal, beat, stop: () => clearInterval(timer) };
}

/** Throws the activity's CancelledFailure when it has been cancelled. */
export async function throwIfCancelled(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) return;
  await Context.current().cancelled;
  throw new CancelledFailure('CANCELLED');
}
