import type { FoundRegistry, RegistryQuestion } from '../../../shared/sandbox/registries.ts';

/** Tells where package registries are, as the clients of the worker's host say. */
export interface RegistryFinder {
  /**
   * One answer to each question, in their order.
   * @throws BadInput when a client is not there, or names no host: the person must say what `setup` may reach.
   */
  find(questions: readonly RegistryQuestion[]): Promise<FoundRegistry[]>;
}
