/** What a target branch shows after a run. */
import { gitIn } from './repos.ts';

export type LandedCommit = { hash: string; parents: string[]; subject: string; task: string[]; change: string[] };

/** The commits after `base` on the branch, oldest first, with the values of their Swarm trailers. */
export function landedOn(dir: string, branch: string, base: string): LandedCommit[] {
  const trailer = (name: string): string => `%(trailers:key=${name},valueonly,separator=%x1d)`;
  const format = `%H%x1f%P%x1f%s%x1f${trailer('Swarm-Task')}%x1f${trailer('Swarm-Change')}%x1e`;
  const out = gitIn(dir, ['log', '--reverse', `--format=${format}`, `${base}..refs/heads/${branch}`]);
  return out
    .split('\x1e')
    .map((row) => row.replace(/^\n/, ''))
    .filter((row) => row !== '')
    .map((row) => {
      const [hash = '', parents = '', subject = '', task = '', change = ''] = row.split('\x1f');
      const values = (text: string): string[] => text.split('\x1d').filter((value) => value !== '');
      return { hash, parents: parents.split(' '), subject, task: values(task), change: values(change) };
    });
}

/** Content of a file at the branch's tip. */
export const fileOn = (dir: string, branch: string, path: string): string =>
  gitIn(dir, ['show', `refs/heads/${branch}:${path}`], { raw: true });
