/**
 * What became of the tool calls of one turn, so that no retry runs a tool twice. Kept on the host, out of the
 * agent's sight; a line before each call starts and after each result, of which the last counts.
 */
import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { Checkpoint, type ToolCall, ToolResult } from '../../../shared/contracts/agent.ts';
import { gone } from '../gone.ts';
import type { SandboxProvider } from '../provider.ts';
import { isMissing } from '../../support/json-files.ts';

const TurnJournal = z.object({
  /** Of the calls before `started`, in order. */
  results: z.array(ToolResult),
  /** The call that was begun and has no result yet; -1 when none is under way. */
  started: z.number().int(),
  /** Set when the turn is over and its checkpoint, if any, is stored. */
  done: z.object({ checkpoint: Checkpoint.optional() }).optional(),
});
export type TurnJournal = z.infer<typeof TurnJournal>;

export interface Journal {
  /** null when this turn was never begun in this sandbox. */
  read(id: string, turn: number, calls: readonly ToolCall[]): Promise<TurnJournal | null>;
  write(id: string, turn: number, calls: readonly ToolCall[], journal: TurnJournal): Promise<void>;
}

export function createJournal(provider: SandboxProvider): Journal {
  const folder = (id: string) => join(provider.recordDir(id), 'acts');
  // Named by the calls too: the same turn with other calls is another answer of the model.
  const fileOf = (id: string, turn: number, calls: readonly ToolCall[]) => {
    const hash = createHash('sha256').update(JSON.stringify(calls.map((call) => [call.id, call.name, call.arguments])));
    return join(folder(id), `${turn}-${hash.digest('hex').slice(0, 16)}.json`);
  };
  return {
    async read(id, turn, calls) {
      let text: string;
      try {
        text = readFileSync(fileOf(id, turn, calls), 'utf8');
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
      const last = text.slice(0, text.lastIndexOf('\n')).split('\n').at(-1) ?? '';
      // Cut short by a power failure: all that is known is that the turn was begun.
      return last === '' ? { results: [], started: 0 } : TurnJournal.parse(JSON.parse(last));
    },
    async write(id, turn, calls, journal) {
      const file = fileOf(id, turn, calls);
      const line = `${JSON.stringify(journal)}\n`;
      try {
        try {
          appendFileSync(file, line);
        } catch (error) {
          if (!isMissing(error)) throw error;
          mkdirSync(folder(id));
          appendFileSync(file, line);
        }
      } catch (error) {
        throw isMissing(error) ? gone(id, error) : error;
      }
    },
  };
}
