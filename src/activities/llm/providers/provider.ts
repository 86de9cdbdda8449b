/** What the two protocols have in common: one request, streamed, answered whole or not at all. */
import type { Message, ThinkResult } from '../../../shared/contracts/agent.ts';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import type { TokenCount } from '../../../shared/agent/usage.ts';
import type { NativeAnswer, NativeRequest } from './native.ts';
import type { ToolDefinition } from './tools.ts';

export type CompletionRequest = {
  model: string;
  messages: readonly Message[];
  tools: readonly ToolDefinition[];
  maxOutputTokens: number;
  /** What `messages` and `tools` are a translation of. */
  native?: NativeRequest | undefined;
  idempotencyKey: string;
  /** Aborts the request; nobody is asked again. */
  signal: AbortSignal;
  /** The longest silence on the wire, the time to the first byte included. */
  idleMs: number;
  /** The longest time to the first event of the answer, and between two, on a wire that is kept alive. */
  firstTokenMs: number;
};

/** A tool call as the provider gave it: id and name may be missing. */
export type RawToolCall = {
  id: string;
  name: string;
  arguments: string;
  /** Further fields, in answers to a client of the same protocol, such as Gemini's `extra_content`. */
  more?: Record<string, unknown>;
};

export type Completion = {
  text: string;
  toolCalls: RawToolCall[];
  stop: ThinkResult['stop'];
  /** null when the endpoint does not report usage. */
  tokens: TokenCount | null;
  /** From the request to the first piece of text or of a tool call. */
  firstTokenMs: number;
  /** Where `native` was sent. */
  native?: NativeAnswer;
};

export interface Provider {
  /**
   * Sends one request and reads its stream to the end. A stream that breaks is discarded whole.
   * Throws a ProviderFailure, a terminal AnswerTooLarge, or the signal's reason.
   */
  complete(request: CompletionRequest): Promise<Completion>;
  /** The models that the endpoint lists. Throws a ProviderFailure. */
  listModels(signal: AbortSignal): Promise<string[]>;
  /** Whether the endpoint knows a model, for aliases that its list does not have. Throws a ProviderFailure. */
  hasModel(model: string, signal: AbortSignal): Promise<boolean>;
}

/** Temporal's blob limit is 2 MiB; a larger answer could never be recorded. In UTF-8 bytes of JSON. */
export const MAX_ANSWER_BYTES = 1_500_000;

/** Collects a streamed answer and stops one that could never be recorded. */
export class AnswerCollector {
  text = '';
  readonly calls: RawToolCall[] = [];
  #characters = 0;
  readonly #startedAt: number;
  #firstTokenMs: number | undefined;

  /** `startedAt`: when the request was sent, by performance.now(). */
  constructor(startedAt: number) {
    this.#startedAt = startedAt;
  }

  /** Of an answer without content: the time to its end. */
  get firstTokenMs(): number {
    return this.#firstTokenMs ?? performance.now() - this.#startedAt;
  }

  addText(piece: string): void {
    this.#grow(piece);
    this.text += piece;
  }

  addArguments(call: RawToolCall, piece: string): void {
    this.#grow(piece);
    call.arguments += piece;
  }

  newCall(id: string, name: string): RawToolCall {
    this.#grow(id + name);
    const call = { id, name, arguments: '' };
    this.calls.push(call);
    return call;
  }

  #grow(piece: string): void {
    this.#firstTokenMs ??= performance.now() - this.#startedAt;
    this.#characters += piece.length;
    if (this.#characters > MAX_ANSWER_BYTES) throw answerTooLarge(this.#characters);
  }
}

export const answerTooLarge = (size: number) =>
  terminal(
    FailureType.AnswerTooLarge,
    `The model's answer has ${size} bytes or more; at most ${MAX_ANSWER_BYTES} can be recorded.`,
    'Lower llm.maxOutputTokens, or ask for smaller steps.',
  );

/** Header values are ASCII; run ids, which are part of the key, are whatever a person chose. */
export const headerSafe = (key: string): string =>
  key.toWellFormed().replace(/[^\x21-\x7e]/gu, (character) => encodeURIComponent(character));
