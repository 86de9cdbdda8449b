/** What a person sees of a worker's LLM endpoints. Pure. */
import type { EndpointStatus, WorkerEndpoints } from '../shared/contracts/endpoint-status.ts';
import { formatCount, formatDuration, formatUsd, oneLine } from './format.ts';
import { endpointText } from './text.ts';

/** `now` in ms since the epoch. */
export function endpointLines(worker: WorkerEndpoints, now: number): string[] {
  const { waiting } = worker;
  return [
    endpointText.worker(worker.pid, formatDuration(now - worker.startedAt)),
    ...(waiting.calls === 0 ? [] : [waitingLine(worker, now) ?? '']),
    ...worker.endpoints.flatMap((endpoint) => linesOf(endpoint, now)),
  ];
}

/** One line for the status of a run; null when no call waits for a model. */
export function waitingLine({ waiting, endpoints }: WorkerEndpoints, now: number): string | null {
  if (waiting.calls === 0 || waiting.since === undefined) return null;
  const failures = endpoints.flatMap(({ lastFailure }) => lastFailure ?? []).toSorted((a, b) => b.at - a.at);
  const allAway = endpoints.every(({ health }) => health !== 'up');
  const why = allAway ? oneLine(failures[0]?.message ?? '', 200) : endpointText.limits;
  const since = new Date(waiting.since).toISOString();
  return endpointText.waiting(waiting.calls, since, formatDuration(now - waiting.since), why);
}

function linesOf(endpoint: EndpointStatus, now: number): string[] {
  const { totals, lastFailure } = endpoint;
  return [
    endpointText.endpoint(endpoint.name, endpoint.provider, healthWords(endpoint, now)),
    ...endpoint.models.map(({ name, standing, firstTokenMs, tokensPerSecond }) =>
      endpointText.model(
        name,
        endpointText.standing[standing],
        firstTokenMs === undefined ? null : formatDuration(firstTokenMs),
        tokensPerSecond === undefined ? null : tokensPerSecond.toFixed(1),
      ),
    ),
    endpointText.load(endpoint.inFlight, endpoint.concurrency, leftWords(endpoint)),
    endpointText.totals(
      { ...totals },
      [totals.inputTokens, totals.cachedInputTokens, totals.outputTokens].map(formatCount),
      formatUsd(totals.costUsd),
    ),
    ...(lastFailure === undefined
      ? []
      : [endpointText.lastFailure(formatDuration(now - lastFailure.at), oneLine(lastFailure.message, 300))]),
  ];
}

function healthWords({ health, failuresInARow, downSince, nextTryAt }: EndpointStatus, now: number): string {
  const next = nextTryAt === undefined ? null : formatDuration(Math.max(0, nextTryAt - now));
  switch (health) {
    case 'up':
      return endpointText.up(failuresInARow);
    case 'down':
      return endpointText.down(formatDuration(now - (downSince ?? now)), next);
    case 'probing':
      return endpointText.probing(formatDuration(now - (downSince ?? now)));
    case 'throttled':
      return endpointText.throttled(next);
  }
}

function leftWords({ requests, tokens }: EndpointStatus): string[] {
  return [
    ...(requests === undefined
      ? []
      : [endpointText.left(formatCount(Math.max(0, requests.left)), formatCount(requests.perMinute), 'requests')]),
    ...(tokens === undefined
      ? []
      : [endpointText.left(formatCount(Math.max(0, tokens.left)), formatCount(tokens.perMinute), 'tokens')]),
  ];
}
