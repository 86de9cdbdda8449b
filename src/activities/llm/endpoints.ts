/**
 * Which LLM endpoints there are: LLM_ENDPOINTS, else `llm.endpoints` of temporal.config.ts, else the providers'
 * usual variables. Reads nothing but its arguments.
 */
import { z } from 'zod';
import {
  EndpointFromEnv,
  type EndpointConfig,
  type EndpointLimits,
  type Price,
} from '../../shared/config/worker-config.ts';
import type { Role } from '../../shared/contracts/agent.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { ApiKey } from './secret.ts';

export type Endpoint = {
  readonly name: string;
  readonly provider: 'openai' | 'anthropic';
  /** Absent: the provider's own. Without a slash at the end. */
  readonly baseUrl: string | undefined;
  readonly key: ApiKey;
  readonly models: Partial<Record<Role | 'default', string>>;
  /** The setting that names its models, for messages. */
  readonly modelsSource: string;
  readonly weight: number;
  /** USD of the endpoint's models that `prices` does not name. */
  readonly price: Price | undefined;
  readonly prices: Readonly<Record<string, Price>>;
  readonly limits: EndpointLimits;
};

export type Environment = Readonly<Record<string, string | undefined>>;

const USUAL = { openai: 'OPENAI', anthropic: 'ANTHROPIC' } as const;

/** What local servers, which want no key, are sent. */
const NO_KEY = 'none';

export const NO_ENDPOINT_HELP =
  'Set OPENAI_API_KEY and OPENAI_MODEL (and OPENAI_BASE_URL for a compatible endpoint), or ANTHROPIC_API_KEY and ' +
  'ANTHROPIC_MODEL, or LLM_ENDPOINTS (a JSON list of {name, provider, baseUrl, apiKeyEnv, models}), or ' +
  'llm.endpoints in temporal.config.ts.';

/** The model of a role, or undefined when the endpoint does not serve it. That of those who plan for it is the planner's, unless named. */
export const modelFor = (endpoint: Endpoint, role: Role): string | undefined =>
  endpoint.models[role] ??
  (role === 'subplanner' || role === 'reconciler' ? endpoint.models.planner : undefined) ??
  endpoint.models.default;

/**
 * Finds the endpoints. The result may hold endpoints without a model: `checkEndpoints` refuses these with the list
 * of what they offer. Throws ModelUnusable, naming the variable and field, never a key.
 */
export function resolveEndpoints(options: {
  env: Environment;
  configEndpoints: readonly EndpointConfig[];
}): Endpoint[] {
  const { env, configEndpoints } = options;
  const text = env['LLM_ENDPOINTS'];
  let found: Endpoint[];
  if (text !== undefined && text.trim() !== '') {
    found = parseList(text).map((entry, i) => toEndpoint(entry, env, `LLM_ENDPOINTS[${i}]`));
  } else if (configEndpoints.length > 0) {
    found = configEndpoints.map((entry, i) => toEndpoint(entry, env, `llm.endpoints[${i}] of temporal.config.ts`));
  } else {
    found = (['openai', 'anthropic'] as const).flatMap((provider) => fromUsualVariables(provider, env) ?? []);
  }
  if (found.length === 0) throw unusable('No LLM endpoint is configured.', NO_ENDPOINT_HELP);
  const twice = found.find((one, i) => found.findIndex((other) => other.name === one.name) !== i);
  if (twice !== undefined) throw unusable(`Two LLM endpoints are named "${twice.name}".`, 'Give each its own name.');
  return found;
}

function parseList(text: string): EndpointFromEnv[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may hold keys.
    throw unusable('LLM_ENDPOINTS is not JSON.', 'It is a list of {name, provider, baseUrl, apiKeyEnv, models}.');
  }
  const parsed = z.array(EndpointFromEnv).min(1, 'the list is empty').safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => `- ${fieldOf(issue.path)}: ${issue.message}`);
  throw unusable(`LLM_ENDPOINTS is not a list of endpoints:\n${issues.join('\n')}`);
}

const fieldOf = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (field, part) => (typeof part === 'number' ? `${field}[${part}]` : `${field}.${String(part)}`),
    'LLM_ENDPOINTS',
  );

function toEndpoint(entry: EndpointFromEnv, env: Environment, field: string): Endpoint {
  return {
    name: entry.name,
    provider: entry.provider,
    baseUrl: entry.baseUrl === undefined ? undefined : baseUrl(entry.baseUrl, entry.provider, `${field}.baseUrl`),
    key: keyOf(entry, env, field),
    models: entry.models ?? {},
    modelsSource: `${field}.models`,
    weight: entry.weight,
    price: entry.price,
    prices: entry.prices,
    limits: entry.limits,
  };
}

function keyOf(entry: EndpointFromEnv, env: Environment, field: string): ApiKey {
  const { name, apiKey, apiKeyEnv } = entry;
  if (apiKey !== undefined && apiKeyEnv !== undefined) {
    throw unusable(`LLM endpoint "${name}" has both apiKey and apiKeyEnv (${field}).`, 'Give one of them.');
  }
  if (apiKey !== undefined) return new ApiKey(apiKey.trim(), `${field}.apiKey`);
  // The provider's usual key goes to the provider only: another host would get to see it.
  const variable = apiKeyEnv ?? (entry.baseUrl === undefined ? `${USUAL[entry.provider]}_API_KEY` : undefined);
  if (variable === undefined) return new ApiKey(NO_KEY, `${field} (no key)`);
  const value = env[variable]?.trim();
  if (value === undefined || value === '') {
    throw unusable(
      `The key of LLM endpoint "${name}" is missing: the variable ${variable} is not set.`,
      `Set ${variable}, or name another variable in ${field}.apiKeyEnv.`,
    );
  }
  return new ApiKey(value, variable);
}

function fromUsualVariables(provider: 'openai' | 'anthropic', env: Environment): Endpoint | null {
  const prefix = USUAL[provider];
  const read = (name: string): string | undefined => env[`${prefix}_${name}`]?.trim() || undefined;
  const key = read('API_KEY');
  const url = read('BASE_URL');
  const model = read('MODEL');
  if (key === undefined && url === undefined) return null;
  return {
    name: provider,
    provider,
    baseUrl: url === undefined ? undefined : baseUrl(url, provider, `${prefix}_BASE_URL`),
    key: new ApiKey(key ?? NO_KEY, key === undefined ? `${prefix}_API_KEY (not set)` : `${prefix}_API_KEY`),
    models: model === undefined ? {} : { default: model },
    modelsSource: `${prefix}_MODEL`,
    weight: 1,
    price: undefined,
    prices: {},
    limits: {},
  };
}

function baseUrl(text: string, provider: 'openai' | 'anthropic', field: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) throw unusable(`${field} is not an http or https URL.`);
  if (url.username !== '' || url.password !== '') {
    throw unusable(`${field} has user info in it.`, 'Name the variable of the key in apiKeyEnv instead.');
  }
  const trimmed = text.replace(/\/+$/, '');
  // Anthropic's client adds /v1 itself; OpenAI's does not.
  return provider === 'anthropic' ? trimmed.replace(/\/v1$/, '') : trimmed;
}

const unusable = (message: string, remedy?: string) => terminal(FailureType.ModelUnusable, message, remedy);
