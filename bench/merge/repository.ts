/** A remote with many task branches of a seeded shape, made by `git fast-import`. */
import { execFileSync } from 'node:child_process';
import { seeded } from '../router/text.ts';

const FILES = 1_000;
const LINES = 40;
/** Share of branches that add a line of their own to one file that they have in common. */
const SHARED = 0.3;
const CONFLICTING = 0.05;

type Branch = { name: string; ref: string; commit: string };
export type Origin = { base: string; branches: Branch[]; conflicting: number };

const fileName = (i: number): string => `src/area-${i % 20}/part-${i % 7}/file-${i}.ts`;
const linesOf = (i: number): string[] =>
  Array.from({ length: LINES }, (_, line) => `export const v${i}_${line} = ${line};`);

/** Each branch changes one to three files and adds one, on the same base; some write the same line of one file. */
export function makeOrigin(dir: string, options: { branches: number; seed: number }): Origin {
  const random = seeded(options.seed);
  const stream: string[] = [];
  const data = (text: string) => `data ${Buffer.byteLength(text)}\n${text}\n`;
  const commit = (ref: string, message: string, from: string | undefined, files: Map<string, string>) => {
    stream.push(`commit ${ref}\ncommitter Bench <bench@localhost> 1700000000 +0000\n${data(message)}`);
    if (from !== undefined) stream.push(`from ${from}\n`);
    for (const [path, text] of files) stream.push(`M 100644 inline ${path}\n${data(text)}`);
  };
  const registry = Array.from({ length: options.branches }, (_, i) => `entry ${i}\n.\n.\n.\n.\n.\n.\n.`);
  const start = new Map(Array.from({ length: FILES }, (_, i) => [fileName(i), `${linesOf(i).join('\n')}\n`]));
  start.set('registry.txt', `${registry.join('\n')}\n`).set('contested.txt', 'nobody\n');
  commit('refs/heads/main', 'Start', undefined, start);
  const conflicting = Math.round(options.branches * CONFLICTING);
  const names = Array.from({ length: options.branches }, (_, i) => `task-${i}`);
  for (const [i, name] of names.entries()) {
    const files = new Map([[`src/new/${name}.ts`, `${linesOf(i).join('\n')}\n`]]);
    for (let n = 1 + Math.floor(random() * 3); n > 0; n--) {
      // A file of its own: branches meet in the registry and in the contested file only.
      const file = (i * 3 + n) % FILES;
      const lines = linesOf(file);
      lines[Math.floor(random() * LINES)] = `export const changed = '${name}';`;
      files.set(fileName(file), `${lines.join('\n')}\n`);
    }
    if (random() < SHARED) {
      const rows = registry.map((row, at) => (at === i ? row.replace('entry', `entry of ${name}`) : row));
      files.set('registry.txt', `${rows.join('\n')}\n`);
    }
    // One more than conflict: the first of them lands.
    if (i <= conflicting) files.set('contested.txt', `${name}\n`);
    commit(refOf(name), `${name}: work`, 'refs/heads/main', files);
  }
  execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', dir]);
  const git = (...argv: string[]) => execFileSync('git', ['-C', dir, ...argv], { encoding: 'utf8' }).trim();
  execFileSync('git', ['-C', dir, 'fast-import', '--quiet'], { input: stream.join('') });
  const commits = new Map(
    git('for-each-ref', '--format=%(refname) %(objectname)')
      .split('\n')
      .map((row) => row.split(' ') as [string, string]),
  );
  const branches = names.map((name) => ({ name, ref: refOf(name), commit: commits.get(refOf(name)) ?? '' }));
  return { base: commits.get('refs/heads/main') ?? '', branches, conflicting };
}

const refOf = (name: string): string => `refs/agentswarm/runs/bench/${name}.1`;
