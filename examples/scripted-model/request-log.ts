/** What was asked of the scripted model, so that tests and people can count it. */
import { appendFileSync } from 'node:fs';
import type { AgentRole } from './conversation.ts';

export type LoggedRequest = {
  /** Counts from 1 in the order of arrival. */
  number: number;
  /** Milliseconds since the epoch. */
  receivedAt: number;
  /** When the answer's last byte was written, or the client went away; null while it is being made. */
  endedAt: number | null;
  aborted: boolean;
  /** HTTP status of the answer; null as long as there is none. */
  status: number | null;
  idempotencyKey: string | null;
  protocol: 'openai' | 'anthropic';
  role: AgentRole;
  task: string | null;
  model: string;
  stream: boolean;
  /** Names of the tools that the answer calls. */
  calls: string[];
  inputTokens: number;
  outputTokens: number;
};

export type RequestLog = {
  readonly entries: readonly LoggedRequest[];
  open(entry: Omit<LoggedRequest, 'number' | 'receivedAt' | 'endedAt' | 'aborted' | 'status'>): LoggedRequest;
  /** Ends an entry, once; with a file, its line is written now. */
  close(entry: LoggedRequest, end: { status: number | null; aborted: boolean }): void;
};

/** In memory, and with `file` also as one line of JSON for each request that has ended. */
export function createRequestLog(file?: string): RequestLog {
  const entries: LoggedRequest[] = [];
  return {
    entries,
    open(entry) {
      const logged = {
        ...entry,
        number: entries.length + 1,
        receivedAt: Date.now(),
        endedAt: null,
        aborted: false,
        status: null,
      };
      entries.push(logged);
      return logged;
    },
    close(entry, end) {
      if (entry.endedAt !== null) return;
      Object.assign(entry, end, { endedAt: Date.now() });
      if (file !== undefined) appendFileSync(file, `${JSON.stringify(entry)}\n`);
    },
  };
}
