/** What tasks do to a real repository: each changes its scope from the tip at which it started, and is merged. */
import { execFileSync, spawnSync } from 'node:child_process';
import { seeded } from '../router/text.ts';
import type { Work } from './simulate.ts';
import { type Job, repositoryFiles } from './workload.ts';

const LINES = 60;
/** Lines in a row that a task rewrites in each of its files. */
const CHANGED = 4;
/** Of a folder, a task changes so many files. */
const OF_FOLDER = 4;

const WHO = ['-c', 'user.name=Bench', '-c', 'user.email=bench@localhost'];

/** A bare repository at `dir`, and what happens to its branch: `counts` is up to date at any time. */
export function repositoryOf(dir: string, seed: number): Work & { counts: { landed: number; conflicts: number } } {
  const random = seeded(seed);
  const git = (argv: readonly string[], input?: string): string =>
    execFileSync('git', [...WHO, '-C', dir, ...argv], { encoding: 'utf8', input: input ?? '' });
  execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', dir]);
  const start = Array.from({ length: LINES }, (_, i) => `line ${i}\n`).join('');
  let tip = commit(git, 'Start', undefined, new Map(repositoryFiles().map((path) => [path, start])));
  const bases = new Map<string, string>();
  const counts = { landed: 0, conflicts: 0 };
  return {
    counts,
    started: ({ id }) => void bases.set(id, tip),
    landing(job) {
      const base = bases.get(job.id) ?? tip;
      const files = changedFiles(job, random).map((path): [string, string] => {
        const lines = git(['show', `${base}:${path}`]).split('\n');
        const at = Math.floor(random() * (LINES - CHANGED));
        lines.splice(at, CHANGED, ...Array.from({ length: CHANGED }, (_, i) => `line ${at + i} by ${job.id}`));
        return [path, lines.join('\n')];
      });
      const work = commit(git, job.id, base, new Map(files));
      const merged = spawnSync('git', ['-C', dir, 'merge-tree', '--write-tree', tip, work], { encoding: 'utf8' });
      if (merged.status === 1) counts.conflicts += 1;
      else if (merged.status !== 0) throw new Error(`git merge-tree ended with ${merged.status}: ${merged.stderr}`);
      else {
        const [tree = ''] = merged.stdout.split('\n');
        tip = git(['commit-tree', tree, '-p', tip, '-m', job.id]).trim();
        counts.landed += 1;
      }
    },
  };
}

function changedFiles({ scope }: Job, random: () => number): string[] {
  const paths = scope.flatMap((path) => {
    if (!path.endsWith('/')) return [path];
    const inside = repositoryFiles().filter((file) => file.startsWith(path));
    return Array.from({ length: OF_FOLDER }, () => inside[Math.floor(random() * inside.length)] ?? '');
  });
  return [...new Set(paths)];
}

function commit(
  git: (argv: readonly string[], input?: string) => string,
  message: string,
  from: string | undefined,
  files: ReadonlyMap<string, string>,
): string {
  const data = (text: string): string => `data ${Buffer.byteLength(text)}\n${text}\n`;
  const ref = `refs/heads/${message.toLowerCase()}`;
  const head = `commit ${ref}\nmark :1\ncommitter Bench <bench@localhost> 1700000000 +0000\n${data(message)}`;
  const changes = [...files].map(([path, text]) => `M 100644 inline ${path}\n${data(text)}`);
  const stream = [head, from === undefined ? '' : `from ${from}\n`, ...changes, 'get-mark :1\n'].join('');
  return git(['fast-import', '--quiet', '--cat-blob-fd=1'], stream).trim();
}
