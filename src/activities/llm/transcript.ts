/** What a call is about: the conversation, which lives in the workflow's history and is read by a query. */
import type { Client } from '@temporalio/client';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { Message, tailDigest, type TranscriptRange } from '../../shared/contracts/agent.ts';
import { transcriptQuery } from '../../shared/messages.ts';

const DEADLINE_MS = 15_000;
/** Characters of all cached conversations together. */
const MAX_CACHED_CHARACTERS = 128_000_000;

export interface TranscriptSource {
  /** Messages `from` (inclusive) to `to` (exclusive). Every error is retryable. */
  fetch(workflowId: string, runId: string, range: TranscriptRange): Promise<Message[]>;
}

/** Asks the workflow itself. */
export function createTranscriptSource(client: Client): TranscriptSource {
  return {
    async fetch(workflowId, runId, range) {
      const handle = client.workflow.getHandle(workflowId, runId);
      const ask = (): Promise<Message[]> => handle.query<Message[], [TranscriptRange]>(transcriptQuery.name, range);
      return client.withDeadline(Date.now() + DEADLINE_MS, ask);
    },
  };
}

export type TranscriptPart = {
  workflowId: string;
  /** In the key because a reset gives the same chain another history. */
  runId: string;
  conversation: number;
  /** How many messages are wanted, from the first. */
  count: number;
  /** tailDigest() of them, by the workflow. */
  tail?: string | undefined;
  /** The agent's newest messages that this process made itself, if any; taken only where they fit the digest. */
  made?: readonly Message[];
};

type Cached = { messages: Message[]; characters: number };

export class Transcripts {
  readonly #source: TranscriptSource;
  readonly #cache = new LRUCache<string, Cached>({
    maxSize: MAX_CACHED_CHARACTERS,
    sizeCalculation: ({ characters }) => characters,
  });

  constructor(source: TranscriptSource) {
    this.#source = source;
  }

  /** From memory as far as it goes, the rest from the workflow. Throws a retryable error that says what was asked. */
  async get({ workflowId, runId, conversation, count, tail, made = [] }: TranscriptPart): Promise<Message[]> {
    const key = JSON.stringify([workflowId, runId, conversation]);
    const known = this.#cache.get(key)?.messages ?? [];
    if (known.length >= count) {
      this.#keep(key, known);
      return known.slice(0, count);
    }
    const range = { from: known.length, to: count };
    const missing = count - known.length;
    const guess = missing <= made.length ? [...known, ...made.slice(-missing)] : undefined;
    const messages =
      guess !== undefined && tailDigest(guess) === tail
        ? guess
        : [...known, ...(await this.#fetch(workflowId, runId, range))];
    this.#keep(key, messages);
    return messages;
  }

  async #fetch(workflowId: string, runId: string, range: TranscriptRange): Promise<Message[]> {
    const what = `messages ${range.from} to ${range.to} of the transcript of ${workflowId} (run ${runId})`;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${DEADLINE_MS / 1_000} s`)), DEADLINE_MS);
    });
    try {
      const answer = await Promise.race([this.#source.fetch(workflowId, runId, range), late]);
      const messages = z.array(Message).parse(answer);
      if (messages.length !== range.to - range.from) throw new Error(`it gave ${messages.length} messages`);
      return messages;
    } catch (error) {
      throw new Error(`Cannot read ${what}: ${(error as Error).message}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  #keep(key: string, messages: Message[]): void {
    const before = this.#cache.peek(key);
    if (before !== undefined && before.messages.length > messages.length) return;
    const grown = messages.slice(before?.messages.length ?? 0);
    this.#cache.set(key, { messages, characters: (before?.characters ?? 0) + JSON.stringify(grown).length });
  }
}
