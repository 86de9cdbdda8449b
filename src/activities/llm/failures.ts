/** What can go wrong with one request to one endpoint, and what follows from it. */
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import type { Endpoint } from './endpoints.ts';

/**
 * refused: this endpoint says no to this call, and will again (key, model, bill); another may say yes.
 * wrong-request: the request is wrong in itself, wherever it is sent.
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

const TRANSIENT_4XX = new Set([408, 409, 425]);
const THROTTLED = new Set([429, 529]);
const OF_THE_REQUEST = new Set([400, 413, 422]);
/** Errors in a stream, which has begun with 200, by the status that they would have had. */
const STATUS_OF_TYPE: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  overloaded_error: 529,
};
const MAX_RETRY_AFTER_MS = 600_000;

/** As OpenAI, Anthropic, Google, Mistral, Groq, vLLM, llama.cpp and Ollama say it. */
const TOO_LONG =
  /context[ _-]?(?:length|window|size|limit)|maximum context|prompt (?:is )?too long|input (?:is )?too long|too many (?:input )?tokens|exceed\w* (?:the )?max\w* (?:number of )?(?:input )?tokens|input tokens? (?:count )?.{0,40}exceed|request too large|request_too_large|longer than the maximum model length|reduce the length/i;

/** A 400 that is about this endpoint: its models, abilities, filters, the account or key. */
const ABOUT_THE_ENDPOINT =
  /\bmodel\b|not support|unsupported|not available|content.?(?:filter|policy|management)|credit|billing|quota|api.?key|organi[sz]ation|deployment/i;

/** Turns whatever a provider's client threw into a ProviderFailure. Never throws. */
export function classify(error: unknown, endpoint: Endpoint, model: string, now = Date.now()): ProviderFailure {
  if (error instanceof ProviderFailure) return scrubbed(error, endpoint);
  const say = (words: string): string =>
    `${endpoint.name} (${model}): ${endpoint.key.scrub(words).replace(/\s+/g, ' ').trim().slice(0, 600)}`;
  if (error instanceof OpenAI.APIError || error instanceof Anthropic.APIError) {
    const status: unknown = error.status;
    if (typeof status === 'number') {
      const retryAfterMs = retryAfter(error.headers as Headers | undefined, now);
      return new ProviderFailure(kindOf(status, error.message), say(error.message), { status, retryAfterMs });
    }
    if (error instanceof OpenAI.APIConnectionError || error instanceof Anthropic.APIConnectionError) {
      const own = causes(error).find((cause) => cause instanceof ProviderFailure);
      return own !== undefined
        ? scrubbed(own, endpoint)
        : new ProviderFailure('unavailable', say(`cannot be reached: ${causeWords(error)}`));
    }
    const kind = kindOf(STATUS_OF_TYPE[String(error.type)] ?? 500, error.message);
    return new ProviderFailure(kind, say(`error in the stream: ${error.message}`));
  }
  if (error instanceof SyntaxError) {
    return new ProviderFailure('malformed', say('the stream holds an event that is not JSON'));
  }
  if (causes(error).some((cause) => networkCode(cause) !== undefined || cause.message === 'terminated')) {
    return new ProviderFailure('unavailable', say(`the connection broke: ${causeWords(error)}`));
  }
  return new ProviderFailure('malformed', say(`the answer cannot be read: ${causeWords(error)}`));
}

function kindOf(status: number, words: string): ProviderFailureKind {
  if (THROTTLED.has(status)) return 'throttled';
  if (status < 300 || status >= 500 || TRANSIENT_4XX.has(status)) return 'unavailable';
  if (!OF_THE_REQUEST.has(status)) return 'refused';
  // Also a proxy's limit on the body: a shorter conversation passes.
  if (status === 413 || TOO_LONG.test(words)) return 'too-long';
  return ABOUT_THE_ENDPOINT.test(words) ? 'refused' : 'wrong-request';
}

const scrubbed = (failure: ProviderFailure, endpoint: Endpoint): ProviderFailure =>
  new ProviderFailure(failure.kind, endpoint.key.scrub(failure.message), failure);

/** Retry-After in ms: `retry-after-ms`, else seconds or a date. Source: RFC 9110, 10.2.3. */
export function retryAfter(headers: Headers | undefined, now: number): number | undefined {
  const ms = Number.parseFloat(headers?.get('retry-after-ms') ?? '');
  const text = headers?.get('retry-after')?.trim() ?? '';
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
