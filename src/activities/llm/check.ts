/** At start: does each endpoint answer, does it take the key, does it know the models? */
import { randomUUID } from 'node:crypto';
import { ROLES } from '../../shared/contracts/agent.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { Log } from '../support/log.ts';
import { type Endpoint, modelFor } from './endpoints.ts';
import { ProviderFailure } from './failures.ts';
import { createProvider } from './providers/create.ts';
import type { Provider } from './providers/provider.ts';

const TIMEOUT_MS = 10_000;
/** As many models of a list are named in a message. */
const MAX_NAMED = 30;

const WAITS =
  'No LLM endpoint can be reached: agents wait until one is back. Check the addresses and the network if that takes long.';

export type EndpointVerdict =
  | { kind: 'ok' }
  /** It works as far as can be told: it has no list of models. */
  | { kind: 'unverified'; message: string }
  /** It may work later. */
  | { kind: 'unreachable'; message: string }
  /** A person must change the configuration. */
  | { kind: 'wrong'; message: string };

/**
 * Checks all endpoints at the same time, in at most `timeoutMs`. An endpoint that cannot be reached is a warning, also
 * when it is the only one: an outage costs time, never work. Throws ModelUnusable for a wrong key, a missing or
 * unknown model, a role without a model. `unreachable` names those that were not reached.
 */
export async function checkEndpoints(
  endpoints: readonly Endpoint[],
  options: { log: Log; timeoutMs?: number },
): Promise<{ warnings: string[]; unreachable: Set<string> }> {
  const verdicts = await Promise.all(endpoints.map((endpoint) => checkEndpoint(endpoint, options.timeoutMs)));
  const messages = (kind: EndpointVerdict['kind']): string[] =>
    verdicts.flatMap((verdict) => (verdict.kind === kind && 'message' in verdict ? [verdict.message] : []));
  const wrong = messages('wrong');
  const unserved = ROLES.filter((role) => endpoints.every((endpoint) => modelFor(endpoint, role) === undefined));
  if (wrong.length === 0 && unserved.length > 0) {
    wrong.push(`No LLM endpoint names a model for ${unserved.join(', ')}: give models.default, or one for each role.`);
  }
  if (wrong.length > 0) throw terminal(FailureType.ModelUnusable, wrong.join('\n'));
  const unreachable = messages('unreachable');
  const outage = unreachable.length === endpoints.length;
  const warnings = [...(outage ? [WAITS] : []), ...unreachable, ...messages('unverified')];
  for (const warning of warnings) options.log.warn({}, warning);
  const names = endpoints.flatMap(({ name }, i) => (verdicts[i]?.kind === 'unreachable' ? [name] : []));
  return { warnings, unreachable: new Set(names) };
}

/** Never throws for what an endpoint does. */
export async function checkEndpoint(endpoint: Endpoint, timeoutMs = TIMEOUT_MS): Promise<EndpointVerdict> {
  const provider = createProvider(endpoint);
  const signal = AbortSignal.timeout(timeoutMs);
  const where = `LLM endpoint "${endpoint.name}" (${endpoint.baseUrl ?? endpoint.provider})`;
  const models = [...new Set(ROLES.flatMap((role) => modelFor(endpoint, role) ?? []))];
  let listed: string[];
  try {
    listed = await provider.listModels(signal);
  } catch (error) {
    const about = { where, endpoint, named: models.length > 0, timedOut: signal.aborted, timeoutMs };
    const verdict = fromFailure(error, about);
    if (verdict.kind !== 'unverified') return verdict;
    const why = `${where} has no list of models (${(error as Error).message})`;
    return askEach(models, { provider, where, endpoint, signal, timeoutMs, why });
  }
  const offers = listed.length === 0 ? '' : ` It offers: ${nameSome(listed)}.`;
  if (models.length === 0) {
    return { kind: 'wrong', message: `${where} names no model: set ${endpoint.modelsSource}.${offers}` };
  }
  if (listed.length === 0) {
    const why = `${where} lists no models`;
    return askEach(models, { provider, where, endpoint, signal, timeoutMs, why });
  }
  for (const model of models.filter((name) => !listed.includes(name))) {
    // Aliases are not in lists, but known when asked for by name.
    const known = await provider.hasModel(model, signal).catch(() => null);
    if (known === null) return { kind: 'unverified', message: `${where} does not say whether it has "${model}".` };
    if (!known) {
      return { kind: 'wrong', message: `${where} has no model "${model}" (${endpoint.modelsSource}).${offers}` };
    }
  }
  return { kind: 'ok' };
}

/** A call of one token for each model, where there is no list: that shows key, model and protocol as well. */
async function askEach(
  models: readonly string[],
  about: {
    provider: Provider;
    where: string;
    endpoint: Endpoint;
    signal: AbortSignal;
    timeoutMs: number;
    why: string;
  },
): Promise<EndpointVerdict> {
  const { provider, where, endpoint, signal, timeoutMs, why } = about;
  for (const model of models) {
    try {
      await provider.complete({
        model,
        messages: [{ role: 'user', text: 'Answer with one word.' }],
        tools: [],
        maxOutputTokens: 1,
        idempotencyKey: `readiness-${randomUUID()}`,
        signal,
        idleMs: timeoutMs,
        firstTokenMs: timeoutMs,
      });
    } catch (error) {
      const failure = error instanceof ProviderFailure ? error : undefined;
      if (failure?.kind === 'refused' && failure.status === 404) {
        const message = `${where} refuses "${model}" (${endpoint.modelsSource}): ${failure.message}. ${why}.`;
        return { kind: 'wrong', message };
      }
      const verdict = fromFailure(error, { where, endpoint, named: true, timedOut: signal.aborted, timeoutMs });
      if (verdict.kind !== 'unverified') return verdict;
      const said = failure?.message ?? String(error);
      return { kind: 'unverified', message: `${why}, and a call of one token was not answered (${said}).` };
    }
  }
  return { kind: 'ok' };
}

function fromFailure(
  error: unknown,
  about: { where: string; endpoint: Endpoint; named: boolean; timedOut: boolean; timeoutMs: number },
): EndpointVerdict {
  const { where, endpoint, named, timedOut, timeoutMs } = about;
  const failure = error instanceof ProviderFailure ? error : undefined;
  // A key may be allowed to use models and not to list them.
  const restricted = failure?.status === 403 && /scope|permission/i.test(failure.message);
  if (failure?.status === 401 || (failure?.status === 403 && !restricted)) {
    return {
      kind: 'wrong',
      message: `${where} refuses the key from ${endpoint.key.source}: ${failure.message}. Correct ${endpoint.key.source}.`,
    };
  }
  if (timedOut) return { kind: 'unreachable', message: `${where} did not answer within ${timeoutMs / 1_000} s.` };
  if (failure?.kind === 'unavailable') return { kind: 'unreachable', message: `${where}: ${failure.message}` };
  if (failure?.kind === 'malformed') {
    return {
      kind: 'wrong',
      message: `${where} does not answer as ${endpoint.provider} does: ${failure.message}. Is its base URL right?`,
    };
  }
  if (!named) return { kind: 'wrong', message: `${where} names no model: set ${endpoint.modelsSource}.` };
  return {
    kind: 'unverified',
    message: `${where} has no list of models (${failure?.message ?? String(error)}): key and models were not checked.`,
  };
}

const nameSome = (models: readonly string[]): string =>
  models.length <= MAX_NAMED
    ? models.join(', ')
    : `${models.slice(0, MAX_NAMED).join(', ')} and ${models.length - MAX_NAMED} more`;
