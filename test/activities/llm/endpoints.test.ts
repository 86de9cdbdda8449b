import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { type Environment, modelFor, resolveEndpoints } from '../../../src/activities/llm/endpoints.ts';
import { EndpointConfig } from '../../../src/shared/config/worker-config.ts';
import { failureTypeOf } from '../../../src/shared/base/failures.ts';

const KEY = 'canary-9f3b2c71d0-key';
const resolve = (env: Environment, configured: object[] = []) =>
  resolveEndpoints({ env, configEndpoints: configured.map((entry) => EndpointConfig.parse(entry)) });

function refusal(env: Environment, configured: object[] = []): string {
  try {
    resolve(env, configured);
  } catch (error) {
    expect(failureTypeOf(error)).toBe('ModelUnusable');
    return (error as Error).message;
  }
  throw new Error('it was not refused');
}

test('the usual variables make one endpoint for each provider', () => {
  const found = resolve({
    OPENAI_API_KEY: KEY,
    OPENAI_BASE_URL: 'http://localhost:8080/v1/',
    OPENAI_MODEL: 'gpt-x',
    ANTHROPIC_API_KEY: 'other-key',
    ANTHROPIC_BASE_URL: 'https://proxy.example/v1',
    ANTHROPIC_MODEL: 'claude-x',
  });
  expect(found.map(({ name, baseUrl, key }) => [name, baseUrl, key.reveal()])).toEqual([
    ['openai', 'http://localhost:8080/v1', KEY],
    ['anthropic', 'https://proxy.example', 'other-key'],
  ]);
  expect(found.map((endpoint) => modelFor(endpoint, 'planner'))).toEqual(['gpt-x', 'claude-x']);
});

test('LLM_ENDPOINTS comes before the configuration, and that before the usual variables', () => {
  const usual = { OPENAI_API_KEY: KEY, OPENAI_MODEL: 'm' };
  const configured = [
    { name: 'configured', provider: 'openai', apiKeyEnv: 'OPENAI_API_KEY', models: { default: 'c' } },
  ];
  const list = JSON.stringify([{ name: 'listed', provider: 'anthropic', apiKey: KEY, models: { worker: 'w' } }]);
  const names = (env: Environment, config: object[] = []) => resolve(env, config).map((endpoint) => endpoint.name);
  expect(names({ ...usual, LLM_ENDPOINTS: list }, configured)).toEqual(['listed']);
  expect(names({ ...usual, LLM_ENDPOINTS: ' ' }, configured)).toEqual(['configured']);
  expect(names(usual)).toEqual(['openai']);
});

test('a role has its own model, else the default, else none', () => {
  const models = { worker: 'w', default: 'd' };
  const entry = { name: 'a', provider: 'openai', apiKey: KEY, models };
  const [both] = resolve({ LLM_ENDPOINTS: JSON.stringify([entry]) });
  const [one] = resolve({ LLM_ENDPOINTS: JSON.stringify([{ ...entry, models: { worker: 'w' } }]) });
  expect(both && [modelFor(both, 'worker'), modelFor(both, 'planner')]).toEqual(['w', 'd']);
  expect(one && [modelFor(one, 'worker'), modelFor(one, 'planner')]).toEqual(['w', undefined]);
});

test('without any endpoint the message names the variables', () => {
  expect(refusal({})).toMatch(/OPENAI_API_KEY.*OPENAI_MODEL.*ANTHROPIC_API_KEY.*LLM_ENDPOINTS.*temporal\.config\.ts/s);
  expect(refusal({ OPENAI_API_KEY: '' })).toContain('No LLM endpoint');
});

test.each<[string, string, string]>([
  ['no JSON', `[{"apiKey": "${KEY}"`, 'LLM_ENDPOINTS is not JSON'],
  ['no list', '{}', 'LLM_ENDPOINTS: '],
  ['an empty list', '[]', 'the list is empty'],
  ['an unknown provider', `[{"name":"a","provider":"x","apiKey":"${KEY}"}]`, 'LLM_ENDPOINTS[0].provider'],
  [
    'an unknown field',
    `[{"name":"a","provider":"openai","key":"${KEY}"}]`,
    'LLM_ENDPOINTS[0]: Unrecognized key: "key"',
  ],
  ['a bad price', '[{"name":"a","provider":"openai","price":{"input":-1,"output":1}}]', 'LLM_ENDPOINTS[0].price.input'],
  ['a bad address', '[{"name":"a","provider":"openai","baseUrl":"nowhere"}]', 'LLM_ENDPOINTS[0].baseUrl'],
  ['another scheme', '[{"name":"a","provider":"openai","baseUrl":"file:///x"}]', 'LLM_ENDPOINTS[0].baseUrl'],
  ['user info in the address', `[{"name":"a","provider":"openai","baseUrl":"http://u:${KEY}@h/v1"}]`, 'user info'],
  [
    'a key that is named and given',
    `[{"name":"a","provider":"openai","apiKey":"${KEY}","apiKeyEnv":"K"}]`,
    'both apiKey',
  ],
  ['a variable that is not set', '[{"name":"a","provider":"openai","apiKeyEnv":"MY_KEY"}]', 'MY_KEY is not set'],
  ['no key for the provider itself', '[{"name":"a","provider":"anthropic"}]', 'ANTHROPIC_API_KEY is not set'],
  [
    'a name used twice',
    `[{"name":"a","provider":"openai","apiKey":"${KEY}"},{"name":"a","provider":"openai","apiKey":"${KEY}"}]`,
    'Two LLM endpoints are named "a"',
  ],
])('LLM_ENDPOINTS with %s is refused, the field named and no key said', (_, text, said) => {
  const message = refusal({ LLM_ENDPOINTS: text });
  expect(message).toContain(said);
  expect(message).not.toContain(KEY);
});

test("a provider's usual key is not sent to another host", () => {
  const list = JSON.stringify([{ name: 'local', provider: 'openai', baseUrl: 'http://localhost:1/v1' }]);
  const [local] = resolve({ LLM_ENDPOINTS: list, OPENAI_API_KEY: KEY });
  expect(local?.key.reveal()).not.toContain(KEY);
});

test('an endpoint can be printed in every way without its key', () => {
  const found = resolve({ OPENAI_API_KEY: KEY, OPENAI_MODEL: 'm' });
  const printed = [JSON.stringify(found), inspect(found, { depth: 9, showHidden: true }), String(found[0]?.key)].join();
  expect(printed).toContain('OPENAI_API_KEY');
  expect(printed).not.toContain(KEY);
});

test('scrubbing takes the key in plain, base64 and URL form, and what looks like another key', () => {
  const [endpoint] = resolve({ OPENAI_API_KEY: 'a+b/canary==0123', OPENAI_MODEL: 'm' });
  const text = `a+b/canary==0123 ${Buffer.from('a+b/canary==0123').toString('base64')} a%2Bb%2Fcanary%3D%3D0123 sk-proj-12345678`;
  expect(endpoint?.key.scrub(text).replaceAll('[redacted]', '').replace(/[ =]/g, '')).toBe('');
});
