/**
 * What a sandbox costs on this host: until a command can run in a fresh one, against `git clone -s` and a bare
 * bubblewrap; each command, against a bare bubblewrap; many at once; memory. All in one run over one repository,
 * every process started by the same spawner.
 */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createMirrors } from '../../src/activities/git/mirrors.ts';
import type { Mirror } from '../../src/activities/git/contract.ts';
import { createSpawner, type Spawner } from '../../src/activities/process/spawner.ts';
import type { ExecResult, RunProcess } from '../../src/activities/process/run-process.ts';
import { checkOut } from '../../src/activities/sandbox/checkpoints/checkout.ts';
import { createLocalProvider } from '../../src/activities/sandbox/local/provider.ts';
import type { SandboxProvider } from '../../src/activities/sandbox/provider.ts';
import { createRecords } from '../../src/activities/sandbox/state/lease-file.ts';
import { createTurnstile } from '../../src/activities/sandbox/turnstile.ts';
import { Config } from '../../src/shared/config/worker-config.ts';
import type { CommitSha } from '../../src/shared/base/ids.ts';
import { printDependencies } from './dependencies.ts';
import { memoryOf, pssMbBelow } from './memory.ts';

const BARE = ['bwrap', '--unshare-all', '--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev', '--die-with-parent'];
const LIMITS = Config.parse({}).sandbox.limits;
const quiet = { debug: () => undefined, info: () => undefined, warn: console.error, error: console.error };

type Host = {
  dir: string;
  run: RunProcess;
  mirror: Mirror;
  provider: SandboxProvider;
  records: ReturnType<typeof createRecords>;
  commit: CommitSha;
};

export async function sandbox(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      files: { type: 'string', default: '1000' },
      samples: { type: 'string', default: '60' },
      sandboxes: { type: 'string', default: '100' },
      // Only what a copy of dependencies costs, by the ways there are.
      dependencies: { type: 'boolean', default: false },
    },
  });
  const dir = mkdtempSync(join(tmpdir(), 'agentswarm-bench-'));
  const spawner = createSpawner();
  try {
    if (values.dependencies) return await printDependencies(dir, spawner.run);
    const host = await openHost(dir, spawner, Number(values.files));
    console.log(`a repository of ${values.files} files, ${values.samples} samples`);
    await ready(host, Number(values.samples));
    await commands(host, 3 * Number(values.samples));
    await many(host, Number(values.sandboxes));
  } finally {
    spawner.close();
    rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function openHost(dir: string, spawner: Spawner, files: number): Promise<Host> {
  const { run } = spawner;
  const origin = makeOrigin(dir, files);
  const mirrors = createMirrors({ dir: join(dir, 'mirrors'), env: process.env, run });
  const mirror = await mirrors.open({ location: origin, key: origin });
  const commit = await mirror.fetchBranch('main');
  const state = { stateDir: join(dir, 'state'), limits: LIMITS, unsafe: false };
  const provider = await createLocalProvider({ ...state, env: process.env, processes: spawner, log: quiet });
  return { dir, run, mirror, provider, records: createRecords(provider), commit };
}

/** As a lease makes one, without the remote and the server. */
async function open({ provider, mirror, records, commit }: Host): Promise<string> {
  const id = `sb-${randomUUID()}`;
  const holder = { workflowId: 'bench', firstRunId: 'bench' };
  const lease = { epoch: 1, holder, ancestors: [], repo: mirror.repo, createdAt: Date.now() };
  await provider.create({ id, objects: join(mirror.dir, 'objects') });
  await records.writeLease(id, { ...lease, state: { kind: 'making', pid: process.pid } });
  await records.writeTree(id, await checkOut({ provider, mirror, id, start: { base: commit, commit } }));
  await records.writeLease(id, { ...lease, state: { kind: 'ready' } });
  return id;
}

async function ready(host: Host, samples: number): Promise<void> {
  const ours = async (): Promise<void> => {
    const id = await open(host);
    expectGood(await host.provider.exec(id, ['/bin/true'], { timeoutMs: 60_000 }));
    after.push(() => host.provider.terminate(id));
  };
  const floor = async (): Promise<void> => {
    const to = join(host.dir, `clone-${randomUUID()}`);
    await must(host.run, ['git', 'clone', '-q', '-s', '--branch', 'main', '--', host.mirror.dir, to]);
    await must(host.run, [...BARE, '--bind', to, '/tmp', '--chdir', '/tmp', '--', '/bin/true']);
    after.push(() => Promise.resolve(rmSync(to, { recursive: true })));
  };
  const after: (() => Promise<void>)[] = [];
  const [mine, bare] = await alternate(samples, [ours, floor], async () => {
    for (const clean of after.splice(0)) await clean();
  });
  verdict('ready to run a command (git clone -s and a bare bubblewrap)', mine, bare, 1.5);
}

async function commands(host: Host, samples: number): Promise<void> {
  const id = await open(host);
  const ours = async () => expectGood(await host.provider.exec(id, ['/bin/true'], { timeoutMs: 60_000 }));
  const floor = () => must(host.run, [...BARE, '--', '/bin/true']);
  const [mine, bare] = await alternate(samples, [ours, floor]);
  verdict('a command (a bare bubblewrap)', mine, bare, 2);
  await host.provider.terminate(id);
}

async function many(host: Host, count: number): Promise<void> {
  const turnstile = createTurnstile();
  const before = memoryOf(process.pid);
  const began = performance.now();
  const ids = await Promise.all(Array.from({ length: count }, () => turnstile(() => open(host))));
  const openedMs = performance.now() - began;
  const idle = memoryOf(process.pid);
  const inside = ids.map((id) =>
    host.provider.exec(id, ['/bin/sh', '-c', 'test -f file-0.txt && echo mine > own && sleep 15 && cat own'], {
      timeoutMs: 120_000,
    }),
  );
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  const busyMb = pssMbBelow(process.pid, 'sleep');
  for (const result of await Promise.all(inside)) expectGood(result);
  const runBegan = performance.now();
  for (const result of await Promise.all(
    ids.map((id) => host.provider.exec(id, ['/bin/cat', 'own'], { timeoutMs: 120_000 })),
  ))
    expectGood(result);
  const runMs = performance.now() - runBegan;
  // One for git and one for commands, in each.
  const keptMb = pssMbBelow(process.pid, 'sh');
  const endBegan = performance.now();
  await Promise.all(ids.map((id) => host.provider.terminate(id)));
  const endMs = performance.now() - endBegan;
  console.log(
    `${count} sandboxes at once: all open after ${seconds(openedMs)}, a command in each ${seconds(runMs)}, all gone ${seconds(endMs)}`,
  );
  console.log(
    `memory per sandbox: idle ${(((idle - before) / count) * 1_024).toFixed(0)} kB in the worker, ` +
      `${(keptMb / count).toFixed(2)} MB in the two shells that are kept for a minute; ` +
      `${(busyMb / count).toFixed(2)} MB of one whose command sleeps`,
  );
}

/** The samples of each in ms; one after the other, so that both meet the same machine. */
async function alternate(
  samples: number,
  [one, other]: readonly [() => Promise<void>, () => Promise<void>],
  between: () => Promise<void> = async () => undefined,
): Promise<[number[], number[]]> {
  const times: [number[], number[]] = [[], []];
  for (let i = -5; i < samples; i++) {
    for (const [which, body] of [one, other].entries()) {
      const began = performance.now();
      await body();
      if (i >= 0) times[which === 0 ? 0 : 1].push(performance.now() - began);
    }
    await between();
  }
  return times;
}

function verdict(what: string, ours: readonly number[], floor: readonly number[], target: number): void {
  const ratio = quantile(ours, 0.5) / quantile(floor, 0.5);
  const text = (all: readonly number[]) =>
    `p50 ${quantile(all, 0.5).toFixed(1)} ms, p95 ${quantile(all, 0.95).toFixed(1)} ms`;
  console.log(`${ratio <= target ? 'ok    ' : 'MISSED'} ${what}`);
  console.log(`       ours ${text(ours)}; floor ${text(floor)}; ratio of p50 ${ratio.toFixed(2)}, target ≤ ${target}`);
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

async function must(run: RunProcess, argv: readonly string[]): Promise<void> {
  expectGood(await run(argv, { env: { PATH: process.env.PATH ?? '' }, timeoutMs: 60_000 }));
}

function expectGood(result: ExecResult): void {
  if (result.reason === 'exit' && result.exitCode === 0) return;
  throw new Error(`a command ended by ${result.reason} with ${result.exitCode}: ${result.stderr}`);
}

function makeOrigin(dir: string, files: number): string {
  const work = join(dir, 'work');
  const origin = join(dir, 'origin.git');
  mkdirSync(work, { recursive: true });
  for (let i = 0; i < files; i++) {
    const folder = i === 0 ? work : join(work, `src/module-${i % 40}/part-${i % 7}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file-${i}.txt`), `${`line ${i} of some text\n`.repeat(20 + (i % 300))}`);
  }
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=Bench', '-c', 'user.email=bench@localhost', ...argv], {
      cwd: work,
      stdio: 'ignore',
    });
  git('init', '-b', 'main');
  git('add', '.');
  git('commit', '-m', 'Start');
  git('clone', '--bare', work, origin);
  git('-C', origin, 'gc', '-q');
  return origin;
}
