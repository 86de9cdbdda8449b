/** What can go wrong with one request to one endpoint, and what follows from it. */
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import type { Endpoint } from './endpoints.ts';

/**
 * refused: this endpoint says no to everybody, and will again: its key, its bill or its model. It rests for all.
 * wrong-request: this endpoint says no to this very call (a content filter, a field, an order of messages, or nobody
 *   knows why). It says nothing about other calls, and another endpoint may say yes to this one.
 * too-long: the conversation does not fit into the model's context.
 * throttled: not now (429, 529); perhaps with the time to wait.
 * unavailable: it may well say yes later (5xx, network, a silent or broken stream).
 * malformed: it answered, but not in the protocol; taken as refused when it happens again and again.
 */
export type ProviderFailureKind = 'refused' | 'wrong-request' | 'too-long' | 'throttled' | 'unavailable' | 'malformed';

/** The message is scrubbed of keys and names endpoint and model; the SDK's error is not kept, its headers hold keys. */
export class ProviderFailure extends Error {
  override readonly name = 'ProviderFailure';
  readonly kind: ProviderFailureKind;
  readonly status: number | undefined;
  /** What the provider asked for by Retry-After, at most ten minutes: a limit that was lifted is noticed by then. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: ProviderFailureKind,
    message: string,
    details: { status?: number | undefined; retryAfterMs?: number | undefined } = {},
  ) {
    super(message);
    this.kind = kind;
    this.status = details.status;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** 424 and 499: a proxy or server whose own upstream failed or went away. */
const TRANSIENT_4XX = new Set([408, 409, 424, 425, 499]);
/** 498: Groq's "capacity exceeded". */
const THROTTLED = new Set([429, 498, 529]);
/** Of the endpoint, whatever it says beside: key, bill, address or model. 403 may also be a filter's. */
const OF_THE_ENDPOINT = new Set([401, 402, 403, 404, 405, 407, 410]);
/**
 * Errors in a stream, which has begun with 200, by the status that they would have had: Anthropic's and OpenAI's
 * types, OpenAI's codes, Google's statuses (google.rpc.Code).
 */
const STATUS_OF_NAME: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  context_length_exceeded: 400,
  content_filter: 400,
  invalid_argument: 400,
  failed_precondition: 400,
  authentication_error: 401,
  invalid_api_key: 401,
  unauthenticated: 401,
  billing_error: 402,
  permission_error: 403,
  permission_denied: 403,
  not_found_error: 404,
  not_found: 404,
  model_not_found: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  insufficient_quota: 429,
  throttling_error: 429,
  resource_exhausted: 429,
  overloaded_error: 529,
};
const MAX_RETRY_AFTER_MS = 600_000;
const MAX_WORDS = 600;

/** As OpenAI, Anthropic, Google, Mistral, Groq, vLLM, llama.cpp and Ollama say it. */
const TOO_LONG =
  /context[ _-]?(?:length|window|size|limit)|maximum context|prompt (?:is )?too long|input (?:is )?too long|too many (?:input )?tokens|exceed\w* (?:the )?max\w* (?:number of )?(?:input )?tokens|input tokens? (?:count )?.{0,40}exceed|request too large|request_too_large|longer than the maximum model length|reduce the length|max_new_tokens` must be <=/i;

/** The answer may not be as long as we asked for, however short the conversation: the model's own maximum. */
const OUTPUT_TOO_LARGE =
  /max(?:imum)?[ _]?(?:(?:completion|new|output)[ _]?)?tokens\b['"`]*(?:: \d+ > \d+| must be less than| value of \d+ but the supported range|.{0,40}\bvalid range| you requested exceeds the model| exceeds? the model)|range of max_tokens|at most \d+ completion tokens/i;

/** Room that even a conversation that was compacted takes: system prompt, tools, brief. */
const SMALLEST_INPUT_TOKENS = 3_000;
/** Conversation, answer and what both share, in tokens, as servers put them into words. */
const OUTPUT_IN_CONTEXT: readonly RegExp[] = [
  // Anthropic.
  /exceed context limit: (?<input>\d+) \+ (?<output>\d+) > (?<context>\d+)/,
  // OpenAI, older vLLM, OpenRouter.
  /context length is (?<context>\d+) tokens.{0,80}?\((?<input>\d+) (?:in the|of) .{0,80}?(?<output>\d+) in the (?:completion|output)/,
  // Newer vLLM, in both of its wordings.
  /is too large: (?<output>\d+)\. .{0,60}context length is (?<context>\d+) tokens(?:.{0,40}?(?<input>\d+) input tokens)?/,
  /passed (?<input>\d+) input tokens and requested (?<output>\d+) output tokens.{0,60}context length is (?:only )?(?<context>\d+)/,
  // Text generation inference.
  /must be <= (?<context>\d+)\. Given: (?<input>\d+) .{0,20} tokens and (?<output>\d+)/,
];
const OUTPUT_HELP = 'Lower the setting maxOutputTokens of the run: this model does not give answers of that length.';

/** What was said or asked is not wanted: of this conversation, with whichever status. */
const CONTENT =
  /content[ _-]?(?:filter|policy|management|moderation)|\bmoderation\b|\bflagged\b|ResponsibleAI|safety system|\bguardrail|blocked by .{0,40}(?:policy|filter|safety)/i;
/** Firewalls in front of an endpoint, which judge the text of a request, with 403. */
const FIREWALL = /cloudflare|you have been blocked|request blocked|web application firewall|incapsula|mod_security/i;

/** Codes of a 400 that are about this endpoint's key, bill or model. In lower case. */
const CODES_OF_THE_ENDPOINT = new Set([
  'api_key_invalid',
  'invalid_api_key',
  'authentication_error',
  'permission_error',
  'no_db_connection',
  'billing_error',
  'billing_not_active',
  'insufficient_quota',
  'insufficient_balance',
  'arrearage',
  'account_deactivated',
  'organization_restricted',
  'model_not_found',
  'model_decommissioned',
  'model_not_supported',
  'invalid_model',
  'unknown_model',
  'deploymentnotfound',
]);

/**
 * The same in words. Never a bare "model" or "supported": messages about a conversation have those, too. A model that
 * takes no tools is as good as none: every agent's call has tools.
 */
const WORDS_OF_THE_ENDPOINT: readonly RegExp[] = [
  /api[ _-]?key (?:is )?(?:not (?:valid|found)|invalid|incorrect|expired|missing|required|disabled)/i,
  /(?:invalid|incorrect|missing|expired|revoked) (?:api|access|virtual|auth\w*)[ _-]?(?:key|token)/i,
  /no connected db|authentication fail|virtual key expected/i,
  /credit balance|insufficient (?:balance|credits?|funds|quota)|\bbilling\b|api usage limits|exceeded your (?:current )?quota|payment required/i,
  /(?:account|organi[sz]ation|workspace) (?:is |has been )?(?:disabled|deactivated|suspended|restricted|in arrears)|in good standing/i,
  /location is not supported/i,
  /\bmodel:?\s+(?:id:?\s+|name:?\s+)?(?:['"`]?[^\s'"`]+['"`]?,?\s+)?(?:(?:does not|doesn't|not) exist|(?:is |was )?not found|is not (?:supported|available)\b(?! with| when| for)|(?:has been |is |was )(?:decommissioned|deprecated|retired|shut ?down)|is no longer)/i,
  /(?:unknown|invalid|no such|unavailable|unrecogni[sz]ed) model(?: name| id)?\b(?! (?:response|output|answer))|not a valid model|model identifier is invalid/i,
  /(?:not|n't) have access to (?:the |this )?model|on-demand throughput|no healthy deployments|deployment .{0,60}(?:not exist|not found)/i,
  /(?:not|n't) support (?:tools?|tool use|tool calling|function calling|chat completions?)\b|enable-auto-tool-choice/i,
];

/** What LiteLLM puts behind each error, names of models and failures of its fallbacks included. */
const APPENDED =
  /(?:\bReceived Model Group=|\bLiteLLM: model group '|\bLiteLLM Retried: \d|No fallback model group found for original model_group=)[\s\S]*$/;
/** Servers repeat the text that they refuse, which may say anything: pydantic's `input`, and fields of that kind. */
const REPEATED = /(?:['"\\](?:input|flagged_input|failed_generation)\\?['"]\s*:|\binput_value=)[\s\S]*$/;

/** Turns whatever a provider's client threw into a ProviderFailure. Never throws. */
export function classify(error: unknown, endpoint: Endpoint, model: string, now = Date.now()): ProviderFailure {
  if (error instanceof ProviderFailure) return scrubbed(error, endpoint);
  const say = (words: string): string =>
    `${endpoint.name} (${model}): ${endpoint.key.scrub(words).replace(/\s+/g, ' ').trim().slice(0, MAX_WORDS)}`;
  if (error instanceof OpenAI.APIError || error instanceof Anthropic.APIError) {
    const status: unknown = error.status;
    // Of a body that is no JSON the SDK makes `<status> <text>`.
    const told = toldBy(error.error ?? error.message.replace(/^\d{3} /, ''));
    const fail = (of: number, before: string, more: object = {}): ProviderFailure => {
      const { kind, help } = judge(of, told);
      const words = say([before, told.words || error.message].join(' '));
      return new ProviderFailure(kind, help === undefined ? words : `${words} ${help}`, more);
    };
    if (typeof status === 'number') {
      return fail(status, `${status}`, { status, retryAfterMs: retryAfter(error.headers as Headers | undefined, now) });
    }
    if (error instanceof OpenAI.APIConnectionError || error instanceof Anthropic.APIConnectionError) {
      const own = causes(error).find((cause) => cause instanceof ProviderFailure);
      return own !== undefined
        ? scrubbed(own, endpoint)
        : new ProviderFailure('unavailable', say(`cannot be reached: ${causeWords(error)}`));
    }
    return fail(statusInStream(told), 'error in the stream:');
  }
  if (error instanceof SyntaxError) {
    return new ProviderFailure('malformed', say('the stream holds an event that is not JSON'));
  }
  if (causes(error).some((cause) => networkCode(cause) !== undefined || cause.message === 'terminated')) {
    return new ProviderFailure('unavailable', say(`the connection broke: ${causeWords(error)}`));
  }
  return new ProviderFailure('malformed', say(`the answer cannot be read: ${causeWords(error)}`));
}

/** An error's words and codes, wherever its server and the proxies before it put them. */
type Told = { readonly words: string; readonly codes: readonly string[] };

/** @param error what the SDK took out of the body: an object, a list of them (Gemini), or text. */
function toldBy(error: unknown): Told {
  const words: string[] = [];
  const codes: string[] = [];
  readInto({ words, codes }, error, 0);
  return { words: [...new Set(words.map((text) => text.replace(APPENDED, '').trim()))].join(' '), codes };
}

/** Fields that hold an error inside an error: OpenRouter's raw words of the provider, Azure's and Google's details. */
const INNER = ['error', 'detail', 'details', 'metadata', 'raw', 'innererror', 'errors'];
const MAX_DEPTH = 7;
/** Characters of one text that are read. */
const MAX_READ = 8_000;

function readInto(into: { words: string[]; codes: string[] }, error: unknown, depth: number): void {
  if (depth > MAX_DEPTH || error === null || error === undefined) return;
  if (typeof error === 'string') {
    const inner = /^\s*[{[]/.test(error) ? parsed(error) : undefined;
    if (inner === undefined) into.words.push(error.slice(0, MAX_READ));
    else readInto(into, inner, depth + 1);
    return;
  }
  if (Array.isArray(error)) {
    for (const each of error.slice(0, 10)) readInto(into, each, depth + 1);
    return;
  }
  if (typeof error !== 'object') return;
  const fields = error as Readonly<Record<string, unknown>>;
  for (const name of ['code', 'type', 'status', 'reason']) {
    const code = fields[name];
    if (typeof code === 'string' || typeof code === 'number') into.codes.push(String(code).toLowerCase());
  }
  const { message, msg, loc } = fields;
  if (typeof msg === 'string') into.words.push(Array.isArray(loc) ? `${loc.join('.')}: ${msg}` : msg);
  readInto(into, message, depth + 1);
  for (const name of INNER) readInto(into, fields[name], depth + 1);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** By number where it has one, as gateways do; else by name. 500 where neither says anything. */
function statusInStream({ codes }: Told): number {
  const number = codes.map(Number).find((code) => Number.isInteger(code) && code >= 400 && code < 600);
  return number ?? codes.map((code) => STATUS_OF_NAME[code]).find((status) => status !== undefined) ?? 500;
}

type Judgement = { readonly kind: ProviderFailureKind; readonly help?: string };

function judge(status: number, told: Told): Judgement {
  if (THROTTLED.has(status)) return { kind: 'throttled' };
  if (status < 300 || status >= 500 || TRANSIENT_4XX.has(status)) return { kind: 'unavailable' };
  const words = `${told.words.replace(REPEATED, '')} ${told.codes.join(' ')}`;
  if (status === 403 && (CONTENT.test(words) || FIREWALL.test(words))) return { kind: 'wrong-request' };
  if (status < 400 || OF_THE_ENDPOINT.has(status)) return { kind: 'refused' };
  if (OUTPUT_TOO_LARGE.test(words)) return { kind: 'wrong-request', help: OUTPUT_HELP };
  // Also a proxy's limit on the body: a shorter conversation passes.
  if (status === 413) return { kind: 'too-long' };
  const inContext = OUTPUT_IN_CONTEXT.map((pattern) => pattern.exec(words)?.groups).find((found) => found);
  if (inContext !== undefined) return judgeOutput(inContext);
  if (/max_(?:completion_)?tokens\W* is too large/i.test(words)) return { kind: 'wrong-request', help: OUTPUT_HELP };
  if (TOO_LONG.test(words)) return { kind: 'too-long' };
  if (CONTENT.test(words)) return { kind: 'wrong-request' };
  const ofTheEndpoint =
    told.codes.some((code) => CODES_OF_THE_ENDPOINT.has(code)) ||
    WORDS_OF_THE_ENDPOINT.some((pattern) => pattern.test(words));
  return { kind: ofTheEndpoint ? 'refused' : 'wrong-request' };
}

/** Compaction helps, unless the answer that we ask for leaves no room for any conversation. */
function judgeOutput({ context, output, input }: Readonly<Record<string, string | undefined>>): Judgement {
  const least = Math.min(Number(input ?? SMALLEST_INPUT_TOKENS), SMALLEST_INPUT_TOKENS);
  const hopeless = Number(output) + least > Number(context);
  return hopeless ? { kind: 'wrong-request', help: OUTPUT_HELP } : { kind: 'too-long' };
}

const scrubbed = (failure: ProviderFailure, endpoint: Endpoint): ProviderFailure =>
  new ProviderFailure(failure.kind, endpoint.key.scrub(failure.message), failure);

/**
 * Retry-After in ms: `retry-after-ms`, else seconds or a date. LiteLLM passes the provider's on with a prefix.
 * Source: RFC 9110, 10.2.3.
 */
export function retryAfter(headers: Headers | undefined, now: number): number | undefined {
  const given = (name: string): string => headers?.get(name) ?? headers?.get(`llm_provider-${name}`) ?? '';
  const ms = Number.parseFloat(given('retry-after-ms'));
  const text = given('retry-after').trim();
  const wait = Number.isFinite(ms) ? ms : /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isFinite(wait) ? Math.min(Math.max(wait, 0), MAX_RETRY_AFTER_MS) : undefined;
}

function causes(error: unknown): Error[] {
  const chain: Error[] = [];
  for (let at = error; at instanceof Error && chain.length < 6; at = at.cause) chain.push(at);
  return chain;
}

function networkCode(error: Error): string | undefined {
  const code = (error as NodeJS.ErrnoException).code;
  return typeof code === 'string' && /^(E[A-Z_]+|UND_ERR_\w+|CERT_\w+|DEPTH_\w+|UNABLE_\w+|SELF_\w+)$/.test(code)
    ? code
    : undefined;
}

const causeWords = (error: unknown): string => {
  const chain = causes(error);
  const words = chain.map((cause) => [networkCode(cause), cause.message].filter(Boolean).join(' ')).filter(Boolean);
  return [...new Set(words)].join(': ') || String(error);
};
