/** The only retry loop around LLM endpoints. An outage costs time, never work. */
import type { Role } from '../../shared/contracts/agent.ts';
import { FailureType, terminal } from '../../shared/failures.ts';
import type { Log } from '../log.ts';
import { type Endpoint, NO_ENDPOINT_HELP } from './endpoints.ts';
import { ProviderFailure } from './failures.ts';
import type { Completion, CompletionRequest, Provider } from './providers/provider.ts';
import type { Candidate, Router } from './router.ts';

const FIRST_BACKOFF_MS = 2_000;
const MAX_BACKOFF_MS = 30_000;
/** A provider that says "at once" again and again is not taken at its word more often than this. */
const TRUSTED_RETRY_AFTERS = 3;
const MIN_WAIT_MS = 250;
/** As many answers of one endpoint outside the protocol, for one call, are a wrong URL and no mishap. */
const MAX_MALFORMED = 6;

export type FailoverRequest = Omit<CompletionRequest, 'model'> & {
  role: Role;
  /** Conversations stay with their endpoint. */
  conversation: string;
  /** Checked before each request: throws when nobody wants the answer any more, waits while the run is paused. */
  gate: () => Promise<void>;
  /** Sleeps; rejects when the call was cancelled or nobody is left who waits for it. */
  sleep: (ms: number, waitingFor: string) => Promise<void>;
};

export type Answered = {
  completion: Completion;
  endpoint: Endpoint;
  model: string;
  /** Requests sent, this one included. */
  attempts: number;
  /** Of the request that was answered. */
  durationMs: number;
};

/**
 * Asks one endpoint after the other until one has answered whole. Throws ModelUnusable when every one has refused
 * the call for good, AnswerTooLarge, or what `gate`, `sleep` and the signal throw.
 */
export async function completeSomewhere(
  request: FailoverRequest,
  deps: { router: Router; providers: ReadonlyMap<Endpoint, Provider>; log: Log },
): Promise<Answered> {
  const { router, providers, log } = deps;
  const refusals = new Map<Endpoint, string>();
  const malformed = new Map<Endpoint, number>();
  let attempts = 0;
  let last = 'no endpoint has been asked yet';

  for (let round = 0; ; round++) {
    await request.gate();
    const { ready } = router.choose(request.role, request.conversation, new Set(refusals.keys()), Date.now());
    for (const candidate of ready) {
      request.signal.throwIfAborted();
      attempts++;
      const startedAt = performance.now();
      try {
        const completion = await ask(candidate, request, providers);
        router.succeeded(candidate.endpoint, request.conversation);
        return { completion, ...candidate, attempts, durationMs: Math.round(performance.now() - startedAt) };
      } catch (error) {
        if (!(error instanceof ProviderFailure)) throw error;
        router.failed(candidate.endpoint, error, Date.now());
        last = error.message;
        const strange = (malformed.get(candidate.endpoint) ?? 0) + (error.kind === 'malformed' ? 1 : 0);
        malformed.set(candidate.endpoint, strange);
        if (error.kind === 'refused' || strange >= MAX_MALFORMED) refusals.set(candidate.endpoint, error.message);
        log.warn(
          {
            endpoint: candidate.endpoint.name,
            model: candidate.model,
            kind: error.kind,
            status: error.status,
            attempts,
          },
          `LLM call failed: ${error.message}`,
        );
      }
      // Between two requests as well: nobody is asked for an answer that is no longer wanted.
      if (candidate !== ready.at(-1)) await request.gate();
    }
    const next = router.choose(request.role, request.conversation, new Set(refusals.keys()), Date.now());
    if (next.ready.length === 0 && next.notBefore === undefined) throw nobodyLeft(request.role, refusals);
    await request.sleep(waitMs(round, next.ready.length === 0 ? next.notBefore : undefined), last);
  }
}

async function ask(
  candidate: Candidate,
  request: FailoverRequest,
  providers: ReadonlyMap<Endpoint, Provider>,
): Promise<Completion> {
  const provider = providers.get(candidate.endpoint);
  if (provider === undefined)
    throw terminal(FailureType.Invariant, `No client for endpoint ${candidate.endpoint.name}.`);
  return provider.complete({ ...request, model: candidate.model });
}

/** 2 s, 4 s, … 30 s, spread by a fifth so that a hundred agents do not come back at once. */
function waitMs(round: number, notBefore: number | undefined): number {
  const backoff = Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(round, 10), MAX_BACKOFF_MS) * (0.8 + Math.random() * 0.4);
  if (notBefore === undefined) return backoff;
  const asked = Math.max(notBefore - Date.now(), MIN_WAIT_MS);
  // Long waits are cut up, so that a cancelled or orphaned call does not sit them out.
  return Math.min(round < TRUSTED_RETRY_AFTERS ? asked : Math.max(asked, backoff), MAX_BACKOFF_MS);
}

function nobodyLeft(role: Role, refusals: ReadonlyMap<Endpoint, string>) {
  if (refusals.size === 0) {
    return terminal(FailureType.ModelUnusable, `No LLM endpoint has a model for the role "${role}".`, NO_ENDPOINT_HELP);
  }
  const lines = [...refusals].map(([endpoint, words]) => {
    const settings = [endpoint.key.source, endpoint.modelsSource, endpoint.baseUrl].filter(Boolean).join(', ');
    return `- ${words} (see ${settings})`;
  });
  return terminal(
    FailureType.ModelUnusable,
    `Every LLM endpoint has refused the call of role "${role}":\n${lines.join('\n')}`,
    'Correct the key, the model or the address, then start the run again.',
  );
}
