/**
 * What is on disk about the embedded server of a state folder: `server.json`. Written by the lock's holder only, read
 * by whoever looks for a server.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const ServerState = z.object({
  /** Absent when the server was stopped in good order; the ports stay, so that links and clients stay good. */
  pid: z.number().int().positive().optional(),
  address: z.string().min(1),
  uiUrl: z.string().min(1),
  namespace: z.string().min(1),
  port: z.number().int().positive(),
  uiPort: z.number().int().positive(),
});
export type ServerState = z.infer<typeof ServerState>;

export const statePaths = (stateDir: string) => ({
  lock: join(stateDir, 'supervisor.lock'),
  server: join(stateDir, 'server.json'),
  database: join(stateDir, 'temporal.db'),
  serverLog: join(stateDir, 'server.log'),
  workerLog: join(stateDir, 'worker.log'),
});

/** The last recorded server, or null: a file that is missing or damaged is as good as none. */
export function readServerState(stateDir: string): ServerState | null {
  let text: string;
  try {
    text = readFileSync(statePaths(stateDir).server, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    return ServerState.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null;
    throw error;
  }
}

/** Replaces the record, whole: a reader sees the old one or the new one. */
export function writeServerState(stateDir: string, state: ServerState): void {
  const path = statePaths(stateDir).server;
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}
