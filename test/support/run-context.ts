/** What activities get to know of a run, for tests over a real repository. */
import { join } from 'node:path';
import type { RunContext } from '../../src/shared/contracts/run.ts';
import { repositoryKey } from '../../src/shared/base/ids.ts';
import { DEFAULT_RUN_SETTINGS } from '../../src/shared/contracts/run-settings.ts';

export const PROMPTS_DIR = join(import.meta.dirname, '..', '..', 'prompts');

/** A run on `main` of the repository at `location` from `base`, unless told otherwise. */
export function runContext(location: string, base: string, more: Partial<RunContext> = {}): RunContext {
  return {
    root: { workflowId: 'run-1', firstRunId: '00000000-0000-4000-8000-000000000001' },
    repo: { location, key: repositoryKey(location) },
    base,
    target: 'main',
    settings: DEFAULT_RUN_SETTINGS,
    ...more,
  };
}

/** Keeps what was logged. */
export function recordingLog() {
  const lines: { level: string; fields: object; message: string }[] = [];
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
