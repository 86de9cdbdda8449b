/** Heartbeats of a long activity, and its cancellation as Temporal wants it thrown. */
import { CancelledFailure, Context } from '@temporalio/activity';

export type Beats = { signal: AbortSignal; beat: (details: unknown) => void; stop: () => void };

/**
 * Repeats the last details every `everyMs`, so that a command that takes long is not taken for a dead worker. What
 * ends before needs none: what must survive is in the journal.
 */
export function startBeats(first: unknown, everyMs = 1_000): Beats {
  const context = Context.current();
  let details = first;
  const beat = (next: unknown) => {
    details = next;
  };
  const timer = setInterval(() => context.heartbeat(details), everyMs);
  return { signal: context.cancellationSignal, beat, stop: () => clearInterval(timer) };
}

/** Throws the activity's CancelledFailure when it has been cancelled. */
export async function throwIfCancelled(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) return;
  await Context.current().cancelled;
  throw new CancelledFailure('CANCELLED');
}
