/** The prompts of the roles, as files that people can edit: `prompts/<name>.md`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Role } from '../../shared/contracts/agent.ts';
import type { NetworkSetting } from '../../shared/contracts/network.ts';

export const PROMPT_FILES: Readonly<Record<Role, string>> = {
  planner: 'root-planner.md',
  subplanner: 'subplanner.md',
  worker: 'worker.md',
  conflict: 'conflict.md',
  reconciler: 'reconciler.md',
};

export type Prompts = Readonly<Record<Role, string>>;

/** What `{{network}}` stands for in a prompt. */
function networkText(network: NetworkSetting): string {
  if (network === 'none') return 'Sandboxes of workers have no network.';
  if (network === 'full') return 'Sandboxes of workers have the network of their host.';
  const hosts = network.allow.map((host) => `\`${host}\``).join(', ');
  if (hosts === '') return 'Sandboxes of workers have no network.';
  return `Sandboxes of workers reach these hosts and no others: ${hosts}. A refused one is named in a command's result.`;
}

/**
 * Reads all of them at once, so that one that is missing is found when the worker starts.
 * @param network what sandboxes have, as the worker's settings say.
 */
export function loadPrompts(dir: string, network: NetworkSetting = 'none'): Prompts {
  const load = (role: Role): string => {
    const file = join(dir, PROMPT_FILES[role]);
    try {
      return readFileSync(file, 'utf8')
        .trim()
        .replaceAll('{{network}}', () => networkText(network));
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
