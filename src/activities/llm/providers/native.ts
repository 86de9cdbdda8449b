/**
 * A request as its client wrote it, for endpoints of the client's own protocol: cache marks, thinking, images, formats
 * and what later versions add arrive as they were sent. An endpoint that refuses such a body is asked again with our
 * translation of it, which holds only what every server of the protocol takes.
 */
import type { Endpoint } from '../endpoints.ts';
import { classify, type ProviderFailure } from '../failures.ts';

export type NativeRequest = {
  readonly protocol: Endpoint['provider'];
  /** Fit to be sent but for what the endpoint decides: the model, and how OpenAI's servers name the token limit. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly maxOutputTokens: number;
  /** Of the client, that belong to the body. */
  readonly headers: Readonly<Record<string, string>>;
  /** Endpoint and model, with the words in which they refused a body of this client: not asked so again. */
  readonly refusedBy: Map<string, string>;
};

/** The answer in the endpoint's own protocol, for a client that asked in it. */
export type NativeAnswer =
  /** The stream's events, in order. */
  | { protocol: 'anthropic'; events: readonly unknown[] }
  /** Fields of the message beside its text and calls, such as `reasoning_content`. */
  | { protocol: 'openai'; message: Record<string, unknown> };

/** Asks with the client's body where the endpoint speaks its protocol and takes it, else with the translation. */
export async function asGivenOrTranslated<T>(
  given: NativeRequest | undefined,
  to: { endpoint: Endpoint; model: string },
  ask: (native: NativeRequest | undefined) => Promise<T>,
): Promise<T> {
  const name = `${to.endpoint.name} (${to.model})`;
  if (given === undefined || given.protocol !== to.endpoint.provider || given.refusedBy.has(name)) {
    return ask(undefined);
  }
  try {
    return await ask(given);
  } catch (error) {
    const failure = classify(error, to.endpoint, to.model);
    if (!refusesContent(failure)) throw error;
    const answer = await ask(undefined);
    given.refusedBy.set(name, failure.message);
    return answer;
  }
}

/** llama.cpp and vLLM, for example, say that they take no images with a 500 and a 404. */
const OF_OTHER_MEDIA = /\b(?:image|images|image_url|vision|multi-?modal|audio|input_audio|mmproj)\b/i;

const refusesContent = ({ kind, status, message }: ProviderFailure): boolean =>
  status !== undefined &&
  kind !== 'too-long' &&
  kind !== 'throttled' &&
  (status === 400 || status === 422 || (status >= 404 && OF_OTHER_MEDIA.test(message)));
