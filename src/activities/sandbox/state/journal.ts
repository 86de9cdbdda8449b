/**
 * What became of the tool calls of one turn, so that no retry runs a tool twice. Kept on the host, out of the
 * agent's sight; written before each call starts and after each result.
 */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Checkpoint, type ToolCall, ToolResult } from '../../../shared/contracts/agent.ts';
import { gone } from '../gone.ts';
import type { SandboxProvider } from '../provider.ts';
import { isMissing, readJson, writeJson } from './files.ts';

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
      try {
        return await readJson(fileOf(id, turn, calls), TurnJournal);
      } catch (error) {
        // Cut short by a power failure: all that is known is that the turn was begun.
        if (error instanceof SyntaxError) return { results: [], started: 0 };
        throw error;
      }
    },
    async write(id, turn, calls, journal) {
      const file = fileOf(id, turn, calls);
      try {
        await writeJson(file, journal, { sync: false }).catch(async (error: unknown) => {
          if (!isMissing(error)) throw error;
          await mkdir(folder(id));
          await writeJson(file, journal, { sync: false });
        });
      } catch (error) {
        throw isMissing(error) ? gone(id, error) : error;
      }
    },
  };
}
