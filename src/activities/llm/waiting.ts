/** What a call that has no model to ask says of itself, in its heartbeats. */
import type { Waiting } from './router/router.ts';

export function waitingText({ why, since, until, lastFailure }: Waiting, now: number): string {
  const waiting = `waiting for a model since ${new Date(since).toISOString()}`;
  const last = lastFailure === undefined ? '' : `: ${lastFailure}`;
  const next = `next try in ${Math.max(1, Math.ceil((until - now) / 1_000))} s`;
  switch (why) {
    case 'outage':
    case 'backoff':
      return `${waiting}; no LLM endpoint answers, ${next}${last}`;
    case 'throttled':
      return `${waiting}; the provider asks for time, ${next}${last}`;
    case 'limit':
      return `${waiting}; the limits of the LLM endpoints are reached`;
  }
}
