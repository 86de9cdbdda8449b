/** What a call that has no model to ask says of itself: in its heartbeats, and to its run. */
import type { WaitingCaller } from './router/router.ts';

export function waitingText(waiting: WaitingCaller, now: number): string {
  const { why, since, until } = waiting;
  const head = `waiting for a model since ${new Date(since).toISOString()}`;
  // When slots or tokens are free again nobody knows.
  const next = why === 'limit' ? '' : `; next try in ${Math.max(1, Math.ceil((until - now) / 1_000))} s`;
  return `${head}${next}; ${waitingReason(waiting)}`;
}

/** The same without times: it stays as it is while the cause does. */
export function waitingReason({ why, lastFailure }: Pick<WaitingCaller, 'why' | 'lastFailure'>): string {
  const last = lastFailure === undefined ? '' : `: ${lastFailure}`;
  switch (why) {
    case 'outage':
    case 'backoff':
      return `no LLM endpoint answers${last}`;
    case 'throttled':
      return `the provider asks for time${last}`;
    case 'limit':
      return 'the limits of the LLM endpoints are reached';
  }
}
