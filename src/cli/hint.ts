/** Command lines that a person is told to type next: they lead to the same state and configuration as this one. */
import { shellWord } from '../dashboard/format.ts';
import type { CommonOptions } from './dependencies.ts';

/** `agentswarm` with `words`, and what this command was given of `--state-dir` and `--config`; can be pasted. */
export function nextCommand({ stateDir, config }: CommonOptions, ...words: readonly string[]): string {
  return [
    'agentswarm',
    ...words.map(shellWord),
    ...(stateDir === undefined ? [] : ['--state-dir', shellWord(stateDir)]),
    ...(config === undefined ? [] : ['--config', shellWord(config)]),
  ].join(' ');
}
