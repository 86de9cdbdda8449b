/** What it costs to give a sandbox its dependencies, by the ways there are: those of this checkout are the example. */
import { cpSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunProcess } from '../../src/activities/process/run-process.ts';
import { cpuSeconds, childrenOf } from '../overhead/processes.ts';

const FILES = 4_000;
const ROUNDS = 7;

/** $1 the result, $2 a folder of the sandbox's own. Those with `unshare` mount, and look at one file, in namespaces of their own. */
const WAYS: Readonly<Record<string, string>> = {
  'cp -a --reflink=auto (ours)': 'cp -a --reflink=auto "$1/." "$2"',
  'tar | tar': 'tar -C "$1" -cf - . | tar -C "$2" -xf -',
  'hard links (shared inodes)': 'cp -al "$1/." "$2"',
  'read-only bind': 'unshare -m sh -c \'mount --bind -o ro "$0" "$1" && ls "$1" >/dev/null\' "$1" "$2"',
  'overlay, each command':
    'mkdir -p "$2/u" "$2/w" "$2/m" && unshare -m sh -c \'mount -t overlay o -o "lowerdir=$0,upperdir=$1/u,workdir=$1/w" "$1/m" && ls "$1/m" >/dev/null\' "$1" "$2"',
};

export async function printDependencies(dir: string, run: RunProcess): Promise<void> {
  const from = join(dir, 'node_modules');
  const { files, mb } = gather(from);
  console.log(`dependencies of ${files} files, ${mb.toFixed(0)} MB; median of ${ROUNDS}`);
  for (const [name, script] of Object.entries(WAYS)) {
    const walls: number[] = [];
    const cpus: number[] = [];
    const disks: number[] = [];
    let said = '';
    for (let i = 0; i < ROUNDS && said === ''; i++) {
      const to = join(dir, `to-${i}`);
      mkdirSync(to);
      const before = childrenCpu();
      const began = performance.now();
      const result = await must(run, ['/bin/sh', '-c', `set -e; ${script}`, 'sh', from, to]);
      walls.push(performance.now() - began);
      cpus.push(1_000 * (childrenCpu() - before));
      if (result.exitCode !== 0) said = result.stderr.trim();
      const used = await must(run, ['du', '-s', '--block-size=1', '--', from, to]);
      disks.push(Number(/\n(\d+)/.exec(used.stdout.toString())?.[1] ?? 0) / 1_048_576);
      await must(run, ['rm', '-rf', to]);
    }
    const figures = `${middle(walls).toFixed(0).padStart(5)} ms, CPU ${middle(cpus).toFixed(0).padStart(4)} ms, disk ${middle(disks).toFixed(1).padStart(6)} MB`;
    console.log(`${name.padEnd(30)} ${said === '' ? figures : `does not work here: ${said}`}`);
  }
}

/** Packages of this checkout until there are enough files. */
function gather(to: string): { files: number; mb: number } {
  const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));
  let files = 0;
  let bytes = 0;
  mkdirSync(to);
  for (const name of readdirSync(modules).filter((each) => !each.startsWith('.'))) {
    if (files >= FILES) break;
    cpSync(join(modules, name), join(to, name), { recursive: true, verbatimSymlinks: true });
    for (const each of readdirSync(join(to, name), { recursive: true, withFileTypes: true })) {
      if (!each.isFile()) continue;
      files += 1;
      bytes += statSync(join(each.parentPath, each.name)).size;
    }
  }
  return { files, mb: bytes / 1_048_576 };
}

/** Of what this process's children have started and waited for. */
const childrenCpu = (): number => childrenOf(process.pid).reduce((sum, pid) => sum + cpuSeconds(pid).children, 0);

const middle = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const must = (run: RunProcess, argv: readonly string[]) =>
  run(argv, { env: { PATH: process.env.PATH ?? '' }, timeoutMs: 120_000 });
