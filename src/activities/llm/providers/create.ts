import type { Endpoint } from '../endpoints.ts';
import { createAnthropicProvider } from './anthropic.ts';
import { createOpenAiProvider } from './openai.ts';
import type { Provider } from './provider.ts';

/** The client of an endpoint, by its protocol. */
export const createLlmProvider = (endpoint: Endpoint): Provider =>
  endpoint.provider === 'openai' ? createOpenAiProvider(endpoint) : createAnthropicProvider(endpoint);
