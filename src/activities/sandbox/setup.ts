/**
 * `setup` is a repository's own preparation (npm ci, a venv). It runs once for each key, in a sandbox of its own. Its
 * result is every untracked path that it made; each new sandbox gets a copy, so that nothing writable is shared.
 */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FailureType, failureTypeOf, rootMessage, terminal } from '../../shared/base/failures.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Setup } from '../../shared/contracts/run-settings.ts';
import type { Mirror } from '../git/contract.ts';
import type { Log } from '../support/log.ts';
import { checkOut } from './checkpoints/checkout.ts';
import { CheckpointError, checkpointExec } from './checkpoints/checkpoint-git.ts';
import { excludeLine } from './checkpoints/git-folder.ts';
import type { SandboxProvider } from './provider.ts';
import { removeTree } from './local/remove.ts';
import {
  exchangeSetup,
  InstallError,
  installSetup,
  PATHS_FILE,
  readInstalled,
  type SetupResult,
  writeInstalled,
} from './setup-install.ts';
import { type Maker, thisMaker } from '../../host/processes.ts';
import { headAndTail } from './tools/text.ts';

export interface Setups {
  /** The key files of the setup that a sandbox has; empty where it has none. */
  keyFiles(id: string): Promise<readonly string[]>;
  /** Returns the result: one that is there, one that another caller's run is making, or one of a new run. @throws SetupFailed. */
  ensure(setup: Setup, mirror: Mirror, commit: CommitSha, signal: AbortSignal): Promise<SetupResult>;
  /** Copies the result into a fresh sandbox. */
  install(result: SetupResult, id: string, signal: AbortSignal): Promise<void>;
  /**
   * Exchanges what `setup` made in a sandbox when the key files in `commit` (a checkpoint of its work tree, in the
   * mirror) differ from those that it was made from. No tool may run in the sandbox meanwhile. The caller repeats the
   * call until it has returned for this content: a repeated call completes an exchange that was interrupted.
   * @returns what the agent is to read: that it was exchanged, or why it could not be; once for each content.
   */
  again(request: { mirror: Mirror; id: string; commit: CommitSha; signal: AbortSignal }): Promise<string | undefined>;
}

export const isSetupSandbox = (id: string): boolean => id.startsWith('setup-');

/** `setup-<process>-<its start, 0 where unknown>-<unique>`. */
function newSetupId(): string {
  const { pid, started = '0' } = thisMaker();
  return `setup-${pid}-${started}-${randomUUID().slice(0, 8)}`;
}

/** The process that runs `setup` in the sandbox of this id. */
export function makerOfSetup(id: string): Maker {
  const [, pid = '', started = '0', unique] = id.split('-');
  const known = unique !== undefined && started !== '0';
  return { pid: Number.parseInt(pid, 10), ...(known ? { started } : {}) };
}

const TAIL_BYTES = 4_000;
const LS_TREE = ['--literal-pathspecs', 'ls-tree', '-z'];

/** What a run of `setup` is given, and the key of its result. */
type SetupRun = { setup: Setup; mirror: Mirror; commit: CommitSha; key: string };

/** A run of `setup` in this process that several may wait for; it is stopped when the last of them gives up. */
type Flight = { result: Promise<SetupResult>; waiters: number; stop: AbortController };

type SetupsDeps = { provider: SandboxProvider; stateDir: string; log: Log };

export const createSetups = (deps: SetupsDeps): Setups => new SandboxSetups(deps);

class SandboxSetups implements Setups {
  private readonly provider: SandboxProvider;
  private readonly stateDir: string;
  private readonly log: Log;
  private readonly flights = new Map<string, Flight>();

  constructor({ provider, stateDir, log }: SetupsDeps) {
    this.provider = provider;
    this.stateDir = stateDir;
    this.log = log;
  }

  async keyFiles(id: string): Promise<readonly string[]> {
    return (await readInstalled(this.provider, id))?.setup.keyFiles ?? [];
  }

  async ensure(setup: Setup, mirror: Mirror, commit: CommitSha, signal: AbortSignal): Promise<SetupResult> {
    const key = await this.keyOf(setup, mirror, commit);
    const ready = await this.load(setup, key);
    if (ready !== null) return ready;
    const flight = this.flights.get(key) ?? this.start({ setup, mirror, commit, key });
    flight.waiters += 1;
    try {
      return await orAborted(flight.result, signal);
    } finally {
      flight.waiters -= 1;
      if (flight.waiters === 0) {
        // Either it has ended, or everybody who waited for it has given up.
        if (this.flights.get(key) === flight) this.flights.delete(key);
        flight.stop.abort();
      }
    }
  }

  install(result: SetupResult, id: string, signal: AbortSignal): Promise<void> {
    return installSetup(this.provider, result, id, signal);
  }

  async again({ mirror, id, commit, signal }: Parameters<Setups['again']>[0]): Promise<string | undefined> {
    const installed = await readInstalled(this.provider, id);
    if (installed === null) return undefined;
    const { setup } = installed;
    const key = await this.keyOf(setup, mirror, commit);
    if (key === installed.key || key === installed.failed) return undefined;
    const what = `${setup.keyFiles.join(', ')}: what \`${setup.command}\` makes of it`;
    const about = { sandbox: id, repo: mirror.repo.key, commit };
    try {
      await exchangeSetup(this.provider, await this.ensure(setup, mirror, commit, signal), id, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (failureTypeOf(error) !== FailureType.SetupFailed && !(error instanceof InstallError)) throw error;
      const present = (await readInstalled(this.provider, id)) ?? installed;
      await writeInstalled(this.provider, id, { ...present, failed: key });
      const message = rootMessage(error);
      this.log.warn({ ...about, error: message }, 'setup failed for changed key files');
      const unchanged = present.key === null ? '' : ' What was there before is still there.';
      return `You have changed ${what} could not be had.${unchanged}\n${message}`;
    }
    this.log.info({ ...about, key }, 'a sandbox got setup again');
    return `You have changed ${what} is in the sandbox now, in place of what was there before.`;
  }

  private start(request: SetupRun): Flight {
    const stop = new AbortController();
    const flight = { result: this.run(request, stop.signal), waiters: 0, stop };
    this.flights.set(request.key, flight);
    return flight;
  }

  /** Runs `setup` in a sandbox of its own and archives what it made. @throws SetupFailed. */
  private async run(request: SetupRun, signal: AbortSignal): Promise<SetupResult> {
    const { setup, mirror, commit, key } = request;
    const { provider, log } = this;
    const folder = this.folderOf(key);
    const id = newSetupId();
    const startedAt = Date.now();
    log.info({ sandbox: id, repo: mirror.repo.key, command: setup.command }, 'setup begins');
    // A folder without the list of paths was left when the disk was full or the machine died.
    if (existsSync(folder)) await removeTree(folder, join(this.stateDir, 'trash'));
    await provider.create({ id, objects: join(mirror.dir, 'objects'), network: setup.network });
    try {
      await checkOut({ provider, mirror, id, start: { base: commit, commit }, signal });
      await this.runCommand(request, id, signal);
      await writeFile(join(provider.recordDir(id), PATHS_FILE), await this.listMade(id, signal));
      await provider.archive(id, folder).catch((error: unknown) => {
        // Where another process of this host was first, its result is as good as this one.
        if (!existsSync(join(folder, 'records', PATHS_FILE))) throw error;
      });
      log.info({ repo: mirror.repo.key, folder, durationMs: Date.now() - startedAt }, 'setup is done');
      const loaded = await this.load(setup, key);
      if (loaded === null) throw new Error(`the result of setup in ${folder} is gone`);
      return loaded;
    } finally {
      await provider.terminate(id);
    }
  }

  private async runCommand({ setup, mirror, commit }: SetupRun, id: string, signal: AbortSignal): Promise<void> {
    const result = await this.provider.exec(id, ['/bin/bash', '-c', setup.command], {
      combine: true,
      timeoutMs: setup.timeoutMinutes * 60_000,
      headBytes: TAIL_BYTES / 4,
      tailBytes: TAIL_BYTES,
      network: setup.network,
      registries: setup.registries ?? [],
      signal,
    });
    signal.throwIfAborted();
    if (result.reason === 'exit' && result.exitCode === 0) return;
    const how =
      result.reason === 'timeout'
        ? `took longer than ${setup.timeoutMinutes} minutes`
        : `ended with code ${result.exitCode}`;
    const output = [headAndTail(result, 'a file that is gone').trimEnd(), ...(result.refused ?? [])].join('\n');
    throw terminal(
      FailureType.SetupFailed,
      `setup of ${mirror.repo.location} at ${commit.slice(0, 12)}, \`${setup.command}\`, ${how}:\n${output}`,
      setup.network === 'none'
        ? 'It ran without network: if it needs some, name the hosts in agentswarm.json, as in "network": {"allow": ["packages.example.com"]}.'
        : 'Mend setup.command in agentswarm.json, or what it runs.',
    );
  }

  /** The untracked paths in a sandbox, each ended by NUL. */
  private async listMade(id: string, signal: AbortSignal): Promise<Buffer> {
    const script = 'git ls-files -o --directory --no-empty-directory -z';
    const listed = await checkpointExec(this.provider, id, script, [], { timeoutMs: 10 * 60_000, signal });
    if (listed.exitCode !== 0 || listed.truncated) throw new CheckpointError(id, 'listing what setup made', listed);
    return listed.stdout;
  }

  private folderOf(key: string): string {
    return join(this.stateDir, 'setup', key);
  }

  /** A finished result on this host; null where there is none. */
  private async load(setup: Setup, key: string): Promise<SetupResult | null> {
    const folder = this.folderOf(key);
    const pathsFile = join(folder, 'records', PATHS_FILE);
    if (!existsSync(pathsFile)) return null;
    const paths = splitPaths(await readFile(pathsFile));
    return { setup, key, folder, exclude: paths.map((path) => excludeLine(path.toString('utf8'))) };
  }

  /** Of everything that the result depends on: the command, its network, its key files in the commit, the host. */
  private async keyOf(setup: Setup, mirror: Mirror, commit: CommitSha): Promise<string> {
    const { keyFiles } = setup;
    const listed = keyFiles.length > 0 ? await mirror.git([...LS_TREE, commit, '--', ...keyFiles]) : undefined;
    const files = [keyFiles, listed?.stdout.toString('latin1')];
    const parts: unknown[] = [2, setup.command, setup.network, files, this.provider.fingerprint, mirror.repo.key];
    if (setup.registries !== undefined) parts.push(setup.registries);
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 40);
  }
}

function splitPaths(bytes: Buffer): Buffer[] {
  const paths: Buffer[] = [];
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(0, from);
    const to = end === -1 ? bytes.length : end;
    if (to > from) paths.push(bytes.subarray(from, to));
    from = to + 1;
  }
  return paths;
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    // Also after an abort: the promise rejects when nobody waits for it, and that rejection must be handled.
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
