/** What real servers and the proxies before them say, in their own words and shapes, and what it is taken for. */
import { describe, expect, test } from 'vitest';
import { type ProviderFailureKind, retryAfter } from '../../../src/activities/llm/failures.ts';
import { createProvider } from '../../../src/activities/llm/providers/create.ts';
import type { Fault } from '../../support/llm-server.ts';
import { completionRequest, endpointTo, failureOf, useLlmServers } from './support.ts';

const serve = useLlmServers();

type Protocol = 'openai' | 'anthropic';

async function failed(protocol: Protocol, fault: Fault) {
  const server = await serve();
  server.always = fault;
  return failureOf(createProvider(endpointTo(server, protocol)).complete(completionRequest()));
}

const openai = (message: string, more: object = {}) => ({
  error: { message, type: 'invalid_request_error', param: null, code: null, ...more },
});
const anthropic = (message: string, type = 'invalid_request_error') => ({ type: 'error', error: { type, message } });
const google = (message: string, status: string, reason?: string) => [
  {
    error: {
      code: 400,
      message,
      status,
      ...(reason === undefined
        ? {}
        : { details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason, domain: 'googleapis.com' }] }),
    },
  },
];
const openRouter = (raw: unknown, code = 400) => ({
  error: { message: 'Provider returned error', code, metadata: { raw, provider_name: 'Azure' } },
  user_id: 'user_1',
});
const NO_FALLBACK =
  "\n\nLiteLLM: model group 'gpt-4o' failed with the error above and no fallback model group was found for it, so the request was not retried on another model. No fallbacks are configured. Add a fallbacks entry for that model group (Router fallbacks or proxy router_settings.fallbacks) to retry on another model.";
const OLDER_NO_FALLBACK =
  '. Received Model Group=gpt-4o\nAvailable Model Group Fallbacks=None\nError doing the fallback: litellm.BadRequestError: You passed in model=gpt-4o. There are no healthy deployments for this model LiteLLM Retried: 1 times, LiteLLM Max Retries: 2';
const AZURE_FILTER =
  "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.";
const ORDER =
  "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";

type Case = readonly [server: string, protocol: Protocol, status: number, body: unknown, kind: ProviderFailureKind];

const OF_THE_CALL: Case[] = [
  ['OpenAI, order', 'openai', 400, openai(ORDER, { param: 'messages.[2].role' }), 'wrong-request'],
  [
    'OpenAI, with the word model',
    'openai',
    400,
    openai("Unsupported value: 'temperature' does not support 0.2 with this model."),
    'wrong-request',
  ],
  [
    'OpenAI, safety',
    'openai',
    400,
    openai('Your request was rejected as a result of our safety system.'),
    'wrong-request',
  ],
  [
    'Azure, filter',
    'openai',
    400,
    openai(AZURE_FILTER, {
      code: 'content_filter',
      status: 400,
      innererror: { code: 'ResponsibleAIPolicyViolation', content_filter_result: { hate: { filtered: true } } },
    }),
    'wrong-request',
  ],
  [
    'LiteLLM, order',
    'openai',
    400,
    openai(`litellm.BadRequestError: OpenAIException - ${ORDER}${NO_FALLBACK}`, { code: '400' }),
    'wrong-request',
  ],
  [
    'LiteLLM, older',
    'openai',
    400,
    openai(`litellm.BadRequestError: OpenAIException - ${ORDER}${OLDER_NO_FALLBACK}`, { code: '400' }),
    'wrong-request',
  ],
  [
    'LiteLLM, filter',
    'anthropic',
    400,
    anthropic(`litellm.ContentPolicyViolationError: AzureException - ${AZURE_FILTER}${NO_FALLBACK}`),
    'wrong-request',
  ],
  [
    'OpenRouter, filter',
    'openai',
    400,
    openRouter(JSON.stringify(openai(AZURE_FILTER, { code: 'content_filter' }))),
    'wrong-request',
  ],
  ['OpenRouter, of unknown meaning', 'openai', 400, openRouter('ERROR'), 'wrong-request'],
  [
    'OpenRouter, moderation',
    'openai',
    403,
    {
      error: {
        code: 403,
        message: 'openai/gpt-4o requires moderation on OpenAI. Your input was flagged for "violence".',
        metadata: { reasons: ['violence'], flagged_input: 'invalid api key', provider_name: 'OpenAI' },
      },
    },
    'wrong-request',
  ],
  ['Portkey, order', 'openai', 400, { ...openai(`openai error: ${ORDER}`), provider: 'openai' }, 'wrong-request'],
  [
    'a firewall',
    'openai',
    403,
    '<!DOCTYPE html><html><title>Attention Required! | Cloudflare</title><h1>Sorry, you have been blocked</h1></html>',
    'wrong-request',
  ],
  [
    'vLLM, with the text that it refuses',
    'openai',
    400,
    {
      object: 'error',
      message:
        "[{'type': 'string_type', 'loc': ('body', 'messages', 2, 'content'), 'msg': 'Input should be a valid string', 'input': 'Incorrect API key provided, the model `x` does not exist'}]",
      type: 'BadRequestError',
      code: 400,
    },
    'wrong-request',
  ],
  [
    'FastAPI, with the text that it refuses',
    'openai',
    422,
    {
      detail: [
        {
          type: 'string_type',
          loc: ['body', 'messages', 2, 'content'],
          msg: 'Input should be a valid string',
          input: 'billing: model not found',
        },
      ],
    },
    'wrong-request',
  ],
  [
    'llama.cpp',
    'openai',
    400,
    {
      error: {
        code: 400,
        message: 'Assistant response prefill is incompatible with enable_thinking.',
        type: 'invalid_request_error',
      },
    },
    'wrong-request',
  ],
  ['Gemini', 'openai', 400, google('Please use a valid role: user, model.', 'INVALID_ARGUMENT'), 'wrong-request'],
  [
    'Anthropic',
    'anthropic',
    400,
    anthropic('messages.1: `tool_use` ids were found without `tool_result` blocks immediately after'),
    'wrong-request',
  ],
  [
    'Mistral',
    'openai',
    400,
    {
      object: 'error',
      message: 'Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant',
      type: 'invalid_request_message_order',
      param: null,
      code: '3230',
    },
    'wrong-request',
  ],
  [
    'Groq',
    'openai',
    400,
    openai("Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.", {
      code: 'tool_use_failed',
      failed_generation: 'model not found',
    }),
    'wrong-request',
  ],
  [
    'Bedrock',
    'anthropic',
    400,
    { message: 'The model returned the following errors: messages.3: all messages must have non-empty content' },
    'wrong-request',
  ],
  ['a body of nothing', 'openai', 400, {}, 'wrong-request'],
];

const OF_THE_ENDPOINT: Case[] = [
  ['OpenAI, key', 'openai', 401, openai('Incorrect API key provided: abc.', { code: 'invalid_api_key' }), 'refused'],
  [
    'Gemini, key',
    'openai',
    400,
    google('API key not valid. Please pass a valid API key.', 'INVALID_ARGUMENT', 'API_KEY_INVALID'),
    'refused',
  ],
  [
    'Gemini, expired key',
    'openai',
    400,
    google('API key expired. Please renew the API key.', 'INVALID_ARGUMENT', 'API_KEY_INVALID'),
    'refused',
  ],
  [
    'Gemini, place',
    'openai',
    400,
    google('User location is not supported for the API use.', 'FAILED_PRECONDITION'),
    'refused',
  ],
  ['LiteLLM, key', 'openai', 400, openai('No connected db.', { type: 'no_db_connection', code: '400' }), 'refused'],
  [
    'LiteLLM, model',
    'openai',
    400,
    openai('Invalid model name passed in model=x. Call `/v1/models` to view available models for your key.', {
      code: '400',
    }),
    'refused',
  ],
  [
    'LiteLLM, deployments',
    'openai',
    400,
    openai(
      `litellm.BadRequestError: You passed in model=x. There are no healthy deployments for this model${OLDER_NO_FALLBACK}`,
    ),
    'refused',
  ],
  [
    'Anthropic, bill',
    'anthropic',
    400,
    anthropic(
      'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.',
    ),
    'refused',
  ],
  [
    'Anthropic, limit of the bill',
    'anthropic',
    400,
    anthropic('You have reached your specified API usage limits. You will regain access on 2027-01-01 at 00:00 UTC.'),
    'refused',
  ],
  ['Anthropic, organisation', 'anthropic', 400, anthropic('This organization has been disabled.'), 'refused'],
  [
    'LiteLLM, bill of Anthropic',
    'openai',
    400,
    openai(
      `litellm.BadRequestError: AnthropicException - {"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}${NO_FALLBACK}`,
    ),
    'refused',
  ],
  ['DeepSeek, bill', 'openai', 402, openai('Insufficient Balance', { type: 'unknown_error' }), 'refused'],
  ['DeepSeek, model', 'openai', 400, openai('Model Not Exist'), 'refused'],
  [
    'Alibaba, bill',
    'openai',
    400,
    openai('Access denied, please make sure your account is in good standing.', {
      type: 'Arrearage',
      code: 'Arrearage',
    }),
    'refused',
  ],
  [
    'Groq, model',
    'openai',
    400,
    openai('The model `llama-3.1-70b` has been decommissioned and is no longer supported.', {
      code: 'model_decommissioned',
    }),
    'refused',
  ],
  [
    'Groq, model in words only',
    'openai',
    400,
    openai('The model `llama-3.1-70b` has been decommissioned and is no longer supported.'),
    'refused',
  ],
  [
    'Mistral, model',
    'openai',
    400,
    { object: 'error', message: 'Invalid model: mistral-x', type: 'invalid_model', param: null, code: '1500' },
    'refused',
  ],
  ['Bedrock, model', 'anthropic', 400, { message: 'The provided model identifier is invalid.' }, 'refused'],
  [
    'Bedrock, throughput',
    'anthropic',
    400,
    { message: 'Invocation of model ID x.y-v1:0 with on-demand throughput isn’t supported.' },
    'refused',
  ],
  [
    'vLLM, model',
    'openai',
    404,
    { object: 'error', message: 'The model `x` does not exist.', type: 'NotFoundError', code: 404 },
    'refused',
  ],
  [
    'vLLM, tools',
    'openai',
    400,
    {
      object: 'error',
      message: '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
      type: 'BadRequestError',
      code: 400,
    },
    'refused',
  ],
  [
    'Ollama, model',
    'openai',
    404,
    openai('model "x" not found, try pulling it first', { type: 'api_error' }),
    'refused',
  ],
  [
    'Ollama, tools',
    'openai',
    400,
    openai('registry.ollama.ai/library/gemma:2b does not support tools', { type: 'api_error' }),
    'refused',
  ],
  [
    'OpenRouter, key of the provider',
    'openai',
    400,
    openRouter(JSON.stringify(google('API key not valid.', 'INVALID_ARGUMENT', 'API_KEY_INVALID'))),
    'refused',
  ],
  ['a web page for 403', 'openai', 403, '<html><h1>403 Forbidden</h1></html>', 'refused'],
];

const NOW_NOT: Case[] = [
  [
    'Azure, rate',
    'openai',
    429,
    openai('Requests to the ChatCompletions_Create Operation have exceeded call rate limit'),
    'throttled',
  ],
  ['Groq, capacity', 'openai', 498, openai('flex tier capacity exceeded'), 'throttled'],
  ['nginx, the client has left', 'openai', 499, '', 'unavailable'],
];

const TOO_LONG: Case[] = [
  [
    'OpenAI, by code',
    'openai',
    400,
    openai('Your input exceeds what fits.', { code: 'context_length_exceeded' }),
    'too-long',
  ],
  [
    'llama.cpp',
    'openai',
    400,
    {
      error: {
        code: 400,
        message: 'the request exceeds the available context size, try increasing it',
        type: 'exceed_context_size_error',
      },
    },
    'too-long',
  ],
  [
    'Gemini',
    'openai',
    400,
    google(
      'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
      'INVALID_ARGUMENT',
    ),
    'too-long',
  ],
  [
    'Mistral',
    'openai',
    400,
    {
      object: 'error',
      message: 'Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length',
      type: 'invalid_request_error',
      code: '3051',
    },
    'too-long',
  ],
  [
    'Anthropic, both together',
    'anthropic',
    400,
    anthropic(
      'input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again',
    ),
    'too-long',
  ],
  [
    'vLLM, both together',
    'openai',
    400,
    openai(
      "This model's maximum context length is 32768 tokens. However, you requested 36000 tokens (32000 in the messages, 4000 in the completion). Please reduce the length of the messages or completion.",
    ),
    'too-long',
  ],
  [
    'LiteLLM',
    'openai',
    400,
    openai(`litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - too much${NO_FALLBACK}`),
    'too-long',
  ],
];

describe.each([
  ['is about this call', OF_THE_CALL],
  ['is about the endpoint', OF_THE_ENDPOINT],
  ['may pass', NOW_NOT],
  ['wants a shorter conversation', TOO_LONG],
])('what %s', (_, cases) => {
  test.each(cases)('%s (%s, %i)', async (_server, protocol, status, body, kind) => {
    const failure = await failed(protocol, { kind: 'body', status, body });
    expect({ kind: failure.kind, said: failure.message }).toEqual({ kind, said: expect.any(String) });
    expect(failure.status).toBe(status);
    expect(failure.message).not.toContain('maxOutputTokens');
    expect(failure.message).not.toMatch(/LiteLLM|Received Model Group/);
  });
});

test.each<readonly [string, Protocol, unknown]>([
  [
    'OpenAI',
    'openai',
    openai(
      'max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided 100000.',
      { param: 'max_tokens', code: 'invalid_value' },
    ),
  ],
  [
    'Anthropic',
    'anthropic',
    anthropic('max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet'),
  ],
  [
    'Groq',
    'openai',
    openai(
      '`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window` for this model',
    ),
  ],
  ['DeepSeek', 'openai', openai('Invalid max_tokens value, the valid range of max_tokens is [1, 8192]')],
  ['Alibaba', 'openai', openai('<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]')],
  [
    'Vertex',
    'openai',
    google(
      'Unable to submit request because it has a maxOutputTokens value of 100000 but the supported range is from 1 (inclusive) to 65537 (exclusive).',
      'INVALID_ARGUMENT',
    ),
  ],
  [
    'Bedrock',
    'anthropic',
    {
      message:
        'The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower than 4096.',
    },
  ],
  [
    'vLLM, older',
    'openai',
    openai(
      "This model's maximum context length is 8192 tokens. However, you requested 17000 tokens (1000 in the messages, 16000 in the completion). Please reduce the length of the messages or completion.",
    ),
  ],
  [
    'vLLM',
    'openai',
    openai(
      "'max_tokens' or 'max_completion_tokens' is too large: 16000. This model's maximum context length is 8192 tokens and your request has 1234 input tokens (16000 > 8192 - 1234).",
    ),
  ],
  [
    'vLLM, newest',
    'openai',
    openai(
      "You passed 1001 input tokens and requested 16000 output tokens. However, the model's context length is only 8192 tokens, resulting in a maximum input length of 0 tokens. Please reduce the length of the input prompt.",
    ),
  ],
])('%s: an answer longer than the model gives is named as the setting', async (_, protocol, body) => {
  const failure = await failed(protocol, { kind: 'body', status: 400, body });
  expect(failure.kind).toBe('wrong-request');
  expect(failure.message).toContain('Lower the setting maxOutputTokens');
});

describe.each<Protocol>(['openai', 'anthropic'])('%s: an error in the stream', (protocol) => {
  test.each<[string, { type: string; code?: string | number }, ProviderFailureKind]>([
    ['LiteLLM', { type: 'throttling_error', code: '429' }, 'throttled'],
    ['OpenRouter', { type: 'anything', code: 429 }, 'throttled'],
    ['OpenRouter', { type: 'anything', code: 502 }, 'unavailable'],
    ['vLLM', { type: 'BadRequestError', code: 400 }, 'wrong-request'],
    ['Mistral', { type: 'strange_error', code: '1500' }, 'unavailable'],
    ['OpenAI', { type: 'tokens', code: 'rate_limit_exceeded' }, 'throttled'],
    ['Anthropic', { type: 'overloaded_error' }, 'throttled'],
    ['Google', { type: 'x', code: 'RESOURCE_EXHAUSTED' }, 'throttled'],
  ])('of %s: %o', async (_, error, kind) => {
    const failure = await failed(protocol, { kind: 'error-event', message: 'No.', ...error });
    expect(failure.kind).toBe(kind);
    expect(failure.message).toContain('error in the stream: No.');
  });
});

test('the time to wait is also read where a proxy passes it on under a name of its own', () => {
  expect(retryAfter(new Headers({ 'llm_provider-retry-after': '7' }), 0)).toBe(7_000);
  expect(retryAfter(new Headers({ 'llm_provider-retry-after-ms': '250' }), 0)).toBe(250);
  expect(retryAfter(new Headers({ 'llm_provider-retry-after': '7', 'retry-after': '3' }), 0)).toBe(3_000);
});

test('the words are the provider’s own, whatever is around them', async () => {
  const body = openRouter(JSON.stringify(openai(AZURE_FILTER)));
  const failure = await failed('openai', { kind: 'body', status: 400, body });
  expect(failure.message).toBe(`openai (model-a): 400 Provider returned error ${AZURE_FILTER}`);
});
