/** The only retry loop around LLM endpoints. An outage costs time, never work. */
import type { ApplicationFailure } from '@temporalio/common';
import type { Role } from '../../shared/contracts/agent.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { Log } from '../support/log.ts';
import { type Endpoint, NO_ENDPOINT_HELP } from './endpoints.ts';
import { ProviderFailure } from './failures.ts';
import type { Completion, CompletionRequest, Provider } from './providers/provider.ts';
import { backoffMs } from './router/health.ts';
import type { EndpointSlot, Router, Turn, WaitingCaller } from './router/router.ts';

/** As many answers of one endpoint outside the protocol, for one call, are a wrong URL and no mishap. */
const MAX_MALFORMED = 6;
/** A call that waits looks so often whether it is still wanted. */
const GATE_EVERY_MS = 10_000;
/** A call that an endpoint has refused waits so long for those that are down, and then has been refused by all. */
const REFUSED_PATIENCE_MS = 120_000;

export type FailoverRequest = Omit<CompletionRequest, 'model'> & {
  role: Role;
  /** Conversations stay with their endpoint. */
  conversation: string;
  /** Of the request, for limits of tokens a minute; 0 where nobody has any. */
  estimatedTokens: number;
  /** Aborted when nobody waits any more: what is on the wire is finished, nothing new is begun. */
  abandoned: AbortSignal;
  /** Checked before each request: throws when nobody wants the answer any more, waits while the run is paused. */
  gate: () => Promise<void>;
  /** Told what is waited for, and when a request is sent (undefined). */
  onWaiting?: (waiting: WaitingCaller | undefined) => void;
};

export type Answered = {
  completion: Completion;
  endpoint: Endpoint;
  model: string;
  /** Requests sent, this one included. */
  attempts: number;
  /** Of the request that was answered. */
  durationMs: number;
  /** Before it. */
  waitedMs: number;
  /** To be ended as answered, with what it used. */
  lease: EndpointSlot;
};

export type FailoverDeps = {
  router: Router;
  providers: ReadonlyMap<Endpoint, Provider>;
  log: Log;
  /** Told of each request that failed. */
  onFailure?: (lease: EndpointSlot, kind: ProviderFailure['kind']) => void;
  /** In [0, 1): spreads the back-off, so that a hundred agents do not come back at once. */
  random?: () => number;
};

/**
 * Asks one endpoint after the other until one has answered whole. Throws RequestRefused when every one has refused
 * and at least one of them this very call, ModelUnusable when all refuse whatever is asked, both in the providers' words;
 * ContextTooLong, AnswerTooLarge, or what `gate` and the signals throw.
 */
export async function completeSomewhere(request: FailoverRequest, deps: FailoverDeps): Promise<Answered> {
  const call = new Call(request, deps);
  for (;;) {
    await request.gate();
    const turn = await call.turn();
    if (turn.kind === 'again') {
      // After a look at the endpoints: a gate may have been closed for longer than any patience.
      if (call.hasWaitedLongEnough()) throw call.nobodyLeft(new Map());
      continue;
    }
    if (turn.kind === 'nobody') throw call.nobodyLeft(turn.refusals);
    const answered = await call.ask(turn.lease);
    if (answered !== undefined) return answered;
  }
}

/** What one call remembers from request to request. */
class Call {
  /** In which words, by those that will not be asked again for it. */
  readonly #refusals = new Map<Endpoint, string>();
  readonly #request: FailoverRequest;
  readonly #deps: FailoverDeps;
  readonly #beganAt: number;
  readonly #malformed = new Map<Endpoint, number>();
  readonly #failures = new Map<Endpoint, number>();
  readonly #notBefore = new Map<Endpoint, number>();
  #attempts = 0;
  #waitingSince: number | undefined;
  #waitsFor: WaitingCaller['why'] | undefined;
  /** Since when this very call is refused somewhere: not the key, the bill or the model. */
  #refusedSince: number | undefined;

  constructor(request: FailoverRequest, deps: FailoverDeps) {
    this.#request = request;
    this.#deps = deps;
    this.#beganAt = deps.router.clock.now();
  }

  turn(): Promise<Turn> {
    const { role, conversation, estimatedTokens, signal, abandoned, onWaiting } = this.#request;
    return this.#deps.router.acquire({
      role,
      conversation,
      estimatedTokens,
      refused: new Set(this.#refusals.keys()),
      notBefore: this.#notBefore,
      since: this.#beganAt,
      signal: AbortSignal.any([signal, abandoned]),
      patienceMs: GATE_EVERY_MS,
      onWaiting: (waiting) => {
        this.#waitingSince ??= this.#deps.router.clock.now();
        this.#waitsFor = waiting.why;
        onWaiting?.({ ...waiting, since: this.#waitingSince });
      },
    });
  }

  /** It is refused by whoever answers, and the others have been down for long: no outage is the reason. */
  hasWaitedLongEnough(): boolean {
    if (this.#refusedSince === undefined) return false;
    if (this.#waitsFor !== 'outage' && this.#waitsFor !== 'backoff') return false;
    return this.#deps.router.clock.now() - this.#refusedSince >= REFUSED_PATIENCE_MS;
  }

  /** @param resting endpoints that refuse whatever they are asked, in the words that others heard. */
  nobodyLeft(resting: ReadonlyMap<Endpoint, string>): ApplicationFailure {
    const { role } = this.#request;
    const refusals = new Map([...resting, ...this.#refusals]);
    if (refusals.size === 0) {
      const message = `No LLM endpoint has a model for the role "${role}".`;
      return terminal(FailureType.ModelUnusable, message, NO_ENDPOINT_HELP);
    }
    const refusalLines = [...refusals].map(([endpoint, words]) => {
      const settings = [endpoint.key.source, endpoint.modelsSource, endpoint.baseUrl].filter(Boolean).join(', ');
      return `- ${words} (see ${settings})`;
    });
    const message = `Every LLM endpoint that answers has refused the call of role "${role}":\n${refusalLines.join('\n')}`;
    return this.#refusedSince === undefined
      ? terminal(FailureType.ModelUnusable, message, ENDPOINT_HELP)
      : terminal(FailureType.RequestRefused, message, REQUEST_HELP);
  }

  /** undefined: it came to nothing, another one may do better. */
  async ask(lease: EndpointSlot): Promise<Answered | undefined> {
    const { router, providers } = this.#deps;
    const { endpoint, model } = lease;
    this.#request.onWaiting?.(undefined);
    this.#waitsFor = undefined;
    this.#attempts++;
    const askedAt = router.clock.now();
    const startedAt = performance.now();
    try {
      const provider = providers.get(endpoint);
      if (provider === undefined) throw terminal(FailureType.Invariant, `No client for endpoint ${endpoint.name}.`);
      this.#request.signal.throwIfAborted();
      const completion = await provider.complete({ ...this.#request, model });
      return {
        completion,
        endpoint,
        model,
        attempts: this.#attempts,
        durationMs: Math.round(performance.now() - startedAt),
        waitedMs: askedAt - this.#beganAt,
        lease,
      };
    } catch (error) {
      if (!(error instanceof ProviderFailure)) {
        lease.end({ kind: 'cancelled' });
        throw error;
      }
      lease.end({ kind: 'failed', failure: error });
      this.#failed(lease, error);
      return undefined;
    }
  }

  #failed(lease: EndpointSlot, failure: ProviderFailure): void {
    const { router, log, onFailure, random = Math.random } = this.#deps;
    const { endpoint, model } = lease;
    const { kind, status, message } = failure;
    onFailure?.(lease, kind);
    const fields = { endpoint: endpoint.name, model, kind, status, attempts: this.#attempts };
    log.warn(fields, `LLM call failed: ${message}`);
    switch (kind) {
      case 'too-long':
        throw terminal(FailureType.ContextTooLong, `The conversation is too long for the model: ${message}`);
      case 'wrong-request':
        this.#refusedSince ??= router.clock.now();
        this.#refusals.set(endpoint, message);
        return;
      case 'refused':
        this.#refusals.set(endpoint, message);
        return;
      case 'throttled':
        // The router knows how long all have to wait for it.
        return;
      case 'malformed':
        this.#malformed.set(endpoint, (this.#malformed.get(endpoint) ?? 0) + 1);
        if ((this.#malformed.get(endpoint) ?? 0) >= MAX_MALFORMED) this.#refusals.set(endpoint, message);
        break;
      case 'unavailable':
        break;
    }
    const before = this.#failures.get(endpoint) ?? 0;
    this.#failures.set(endpoint, before + 1);
    this.#notBefore.set(endpoint, router.clock.now() + backoffMs(before) * (0.8 + random() * 0.4));
  }
}

const REQUEST_HELP =
  'At least one of them refuses this conversation, not the key or the model: it says what is wrong. Other calls go on.';
const ENDPOINT_HELP = 'Correct the key, the model or the address, then start the run again.';
