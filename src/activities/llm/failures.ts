/** What can go wrong with one request to one endpoint, and what follows from it. */
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import type { Endpoint } from './endpoints.ts';

/**
 * refused: this endpoint says no to this call, and will again (key, model, request).
 * unavailable: it may well say yes later (429, 5xx, network, a silent or broken stream).
 * malformed: it answered, but not in the protocol; taken as refused when it happens again and again.
 */
export type ProviderFailureKind = 'refused' | 'unavailable' | 'malformed';

/** The message is scrubbed of keys and names endpoint and model; the SDK's error is not kept, its headers hold keys. */
export class ProviderFailure extends Error {
  override readonly name = 'ProviderFailure';
  readonly kind: ProviderFailureKind;
  readonly status: number | undefined;
  /** What the provider asked for by Retry-After, at most an hour. */
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

  /** A request that is wrong in itself says nothing about the endpoint. */
  get countsAgainstHealth(): boolean {
    return !(this.kind === 'refused' && [400, 413, 422].includes(this.status ?? 0));
  }
}

const TRANSIENT_4XX = new Set([408, 409, 425, 429]);
const REFUSING_ERROR_TYPES = new Set([
  'invalid_request_error',
  'authentication_error',
  'permission_error',
  'not_found_error',
  'billing_error',
  'request_too_large',
]);
const MAX_RETRY_AFTER_MS = 3_600_000;

/** Turns whatever a provider's client threw into a ProviderFailure. Never throws. */
export function classify(error: unknown, endpoint: Endpoint, model: string, now = Date.now()): ProviderFailure {
  if (error instanceof ProviderFailure) return scrubbed(error, endpoint);
  const say = (words: string): string =>
    `${endpoint.name} (${model}): ${endpoint.key.scrub(words).replace(/\s+/g, ' ').trim().slice(0, 600)}`;
  if (error instanceof OpenAI.APIError || error instanceof Anthropic.APIError) {
    const status: unknown = error.status;
    if (typeof status === 'number') {
      const refused = status >= 300 && status < 500 && !TRANSIENT_4XX.has(status);
      const retryAfterMs = retryAfter(error.headers as Headers | undefined, now);
      return new ProviderFailure(refused ? 'refused' : 'unavailable', say(error.message), { status, retryAfterMs });
    }
    if (error instanceof OpenAI.APIConnectionError || error instanceof Anthropic.APIConnectionError) {
      const own = causes(error).find((cause) => cause instanceof ProviderFailure);
      return own !== undefined
        ? scrubbed(own, endpoint)
        : new ProviderFailure('unavailable', say(`cannot be reached: ${causeWords(error)}`));
    }
    const refused = REFUSING_ERROR_TYPES.has(String(error.type));
    return new ProviderFailure(refused ? 'refused' : 'unavailable', say(`error in the stream: ${error.message}`));
  }
  if (error instanceof SyntaxError) {
    return new ProviderFailure('malformed', say('the stream holds an event that is not JSON'));
  }
  if (causes(error).some((cause) => networkCode(cause) !== undefined || cause.message === 'terminated')) {
    return new ProviderFailure('unavailable', say(`the connection broke: ${causeWords(error)}`));
  }
  return new ProviderFailure('malformed', say(`the answer cannot be read: ${causeWords(error)}`));
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
