/** The prompts of the roles, as files that people can edit: `prompts/<name>.md`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Role } from '../../shared/contracts/agent.ts';

export const PROMPT_FILES: Readonly<Record<Role, string>> = {
  planner: 'root-planner.md',
  subplanner: 'subplanner.md',
  worker: 'worker.md',
  conflict: 'conflict.md',
  reconciler: 'reconciler.md',
};

export type Prompts = Readonly<Record<Role, string>>;

/** Reads all of them at once, so that one that is missing is found when the worker starts. */
export function loadPrompts(dir: string): Prompts {
  const load = (role: Role): string => {
    const file = join(dir, PROMPT_FILES[role]);
    try {
      return readFileSync(file, 'utf8').trim();
    } catch (error) {
      throw new Error(`the prompt of the ${role} cannot be read from ${file}: it is part of the installation`, {
        cause: error,
      });
    }
  };
  return {
    planner: load('planner'),
    subplanner: load('subplanner'),
    worker: load('worker'),
    conflict: load('conflict'),
    reconciler: load('reconciler'),
  };
}
