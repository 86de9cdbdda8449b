/** What others do in the place of the queue: the least that git can, and what a shell script does. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Origin } from './repository.ts';

export type Landed = { landed: number; ms: number };

/** Chained plumbing: `merge-tree --stdin` and `hash-object --stdin-paths`, one fetch, one push, one read-back. */
export async function floor(dir: string, remote: string, { base, branches }: Origin): Promise<Landed> {
  const clone = join(dir, 'floor.git');
  execFileSync('git', ['clone', '--quiet', '--bare', remote, clone]);
  const git = (...argv: string[]) => execFileSync('git', ['-C', clone, ...argv], { encoding: 'utf8' }).trim();
  const began = performance.now();
  git('fetch', '--quiet', remote, '+refs/*:refs/*');
  const merges = new Fields(long(clone, ['merge-tree', '--stdin']), '\0');
  const objects = new Fields(long(clone, ['hash-object', '-t', 'commit', '-w', '--stdin-paths']), '\n');
  const file = join(dir, 'commit');
  let tip = base;
  let landed = 0;
  for (const { name, commit } of branches) {
    merges.write(`${tip} ${commit}\n`);
    const clean = (await merges.next()) === '1';
    const tree = await merges.next();
    if (!clean) {
      while ((await merges.next()) !== '');
      // Messages: number of paths, the paths, a type, a text. See git-merge-tree(1).
      for (let count = await merges.next(); count !== ''; count = await merges.next()) {
        for (let i = 0; i < Number(count) + 2; i++) await merges.next();
      }
      continue;
    }
    await merges.next();
    const who = 'Bench <bench@localhost> 1700000000 +0000';
    writeFileSync(file, `tree ${tree}\nparent ${tip}\nauthor ${who}\ncommitter ${who}\n\n${name}: work\n`);
    objects.write(`${file}\n`);
    tip = await objects.next();
    landed += 1;
  }
  git('push', '--quiet', `--force-with-lease=refs/heads/main:${base}`, remote, `${tip}:refs/heads/main`);
  const now = git('ls-remote', remote, 'refs/heads/main').split('\t')[0];
  if (now !== tip) throw new Error(`the floor pushed ${tip}, but ${remote} has ${now}`);
  const ms = performance.now() - began;
  merges.end();
  objects.end();
  return { landed, ms };
}

/** Fetch, checkout, merge, push for each; of the first `count` branches. */
export function porcelain(dir: string, remote: string, { branches }: Origin, count: number): Landed {
  const clone = join(dir, 'porcelain');
  execFileSync('git', ['clone', '--quiet', remote, clone]);
  const git = (...argv: string[]) =>
    execFileSync('git', ['-C', clone, '-c', 'user.name=Bench', '-c', 'user.email=bench@localhost', ...argv], {
      stdio: 'ignore',
    });
  const began = performance.now();
  let landed = 0;
  for (const { ref, commit } of branches.slice(-count)) {
    git('fetch', '--quiet', 'origin', 'main', ref);
    git('checkout', '--quiet', '-B', 'main', 'origin/main');
    try {
      git('merge', '--no-edit', '--no-ff', commit);
    } catch {
      git('merge', '--abort');
      continue;
    }
    git('push', '--quiet', 'origin', 'main');
    landed += 1;
  }
  return { landed, ms: performance.now() - began };
}

/** git 2.39 holds its answers back unless its output is unbuffered. */
const long = (dir: string, argv: string[]): ChildProcessWithoutNullStreams =>
  spawn('stdbuf', ['-o0', 'git', '-C', dir, ...argv]);

/** A process's output, field by field. */
class Fields {
  private readonly fields: AsyncIterator<string, void>;
  private readonly child: ChildProcessWithoutNullStreams;

  constructor(child: ChildProcessWithoutNullStreams, separator: string) {
    this.child = child;
    child.stderr.resume();
    this.fields = split(child.stdout, separator);
  }

  write(text: string): void {
    this.child.stdin.write(text);
  }

  async next(): Promise<string> {
    const result: IteratorResult<string, void> = await this.fields.next();
    if (result.done === true) throw new Error('git ended before it had answered');
    return result.value;
  }

  end(): void {
    this.child.stdin.end();
  }
}

async function* split(stream: AsyncIterable<Buffer>, separator: string): AsyncGenerator<string, void> {
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + chunk.toString('latin1')).split(separator);
    rest = parts.pop() ?? '';
    yield* parts;
  }
}
