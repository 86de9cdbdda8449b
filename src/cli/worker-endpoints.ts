/** Reads what the workers of a state folder say of their LLM endpoints. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ENDPOINTS_EVERY_MS, ENDPOINTS_FOLDER, WorkerEndpoints } from '../shared/contracts/endpoint-status.ts';

/** A file that was not written for so long is of a worker that has died or hangs. */
const STALE_MS = 5 * ENDPOINTS_EVERY_MS;

/** Of the workers that live, by pid. What cannot be read (half of a change of versions) is left out. */
export function readWorkerEndpoints(stateDir: string, now = Date.now()): WorkerEndpoints[] {
  const folder = join(stateDir, ENDPOINTS_FOLDER);
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => /^\d+\.json$/.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return names
    .flatMap((name) => read(join(folder, name)) ?? [])
    .filter(({ at }) => now - at <= STALE_MS)
    .toSorted((a, b) => a.pid - b.pid);
}

function read(file: string): WorkerEndpoints | null {
  try {
    return WorkerEndpoints.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    // Removed by a worker that ends, or another version's: there is nothing to show of it.
    return null;
  }
}
