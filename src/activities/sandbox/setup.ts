/**
 * `setup`: a repository's own preparation (npm ci, a venv), once for each key in a sandbox of its own. Its result
 * is what it made that is not tracked; every new sandbox gets a copy, so that nothing writable is shared.
 */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FailureType, failureTypeOf, rootMessage, terminal } from '../../shared/base/failures.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Setup } from '../../shared/config/run-settings.ts';
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
  /** Of the setup that a sandbox has; none where it has none. */
  keyFiles(id: string): Promise<readonly string[]>;
  /** Runs it, waits for the run of another with the same key, or takes what is there. @throws SetupFailed. */
  ensure(setup: Setup, mirror: Mirror, commit: CommitSha, signal: AbortSignal): Promise<SetupResult>;
  /** Copies the result into a fresh sandbox. */
  install(result: SetupResult, id: string, signal: AbortSignal): Promise<void>;
  /**
   * Exchanges what `setup` made in a sandbox, when the key files in `commit` (a checkpoint of its work tree, in the
   * mirror) are others than those that it was made from. No tool may run in the sandbox meanwhile. To be called until
   * it has returned for this content: an exchange that was interrupted is made good.
   * @returns what the agent must be told: that it was exchanged, or why it could not be, once for each content.
   */
  again(request: { mirror: Mirror; id: string; commit: CommitSha; signal: AbortSignal }): Promise<string | undefined>;
}

export const isSetupSandbox = (id: string): boolean => id.startsWith('setup-');

/** `setup-<process>-<its start, 0 where unknown>-<unique>`. */
function newSetupId(): string {
  const { pid, started = '0' } = thisMaker();
  return `setup-${pid}-${started}-${randomUUID().slice(0, 8)}`;
}

/** Which process runs `setup` in it. */
export function makerOfSetup(id: string): Maker {
  const [, pid = '', started = '0', unique] = id.split('-');
  const known = unique !== undefined && started !== '0';
  return { pid: Number.parseInt(pid, 10), ...(known ? { started } : {}) };
}

const TAIL_BYTES = 4_000;
const LS_TREE = ['--literal-pathspecs', 'ls-tree', '-z'];

export function createSetups(deps: { provider: SandboxProvider; stateDir: string; log: Log }): Setups {
  const { provider, stateDir, log } = deps;
  const underWay = new Map<string, { result: Promise<SetupResult>; waiters: number; stop: AbortController }>();

  const folderOf = (key: string): string => join(stateDir, 'setup', key);

  async function keyOf(setup: Setup, mirror: Mirror, commit: CommitSha): Promise<string> {
    const { keyFiles } = setup;
    const listed = keyFiles.length > 0 ? await mirror.git([...LS_TREE, commit, '--', ...keyFiles]) : undefined;
    const files = [keyFiles, listed?.stdout.toString('latin1')];
    const parts: unknown[] = [2, setup.command, setup.network, files, provider.fingerprint, mirror.repo.key];
    if (setup.registries !== undefined) parts.push(setup.registries);
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 40);
  }

  async function load(setup: Setup, key: string): Promise<SetupResult | null> {
    const folder = folderOf(key);
    if (!existsSync(join(folder, 'records', PATHS_FILE))) return null;
    const paths = splitPaths(await readFile(join(folder, 'records', PATHS_FILE)));
    return { setup, key, folder, exclude: paths.map((path) => excludeLine(path.toString('utf8'))) };
  }

  async function run(
    setup: Setup,
    mirror: Mirror,
    commit: CommitSha,
    key: string,
    signal: AbortSignal,
  ): Promise<SetupResult> {
    const folder = folderOf(key);
    const id = newSetupId();
    const started = Date.now();
    log.info({ sandbox: id, repo: mirror.repo.key, command: setup.command }, 'setup begins');
    // A result without its list is from a time when the disk was full or the machine died.
    if (existsSync(folder)) await removeTree(folder, join(stateDir, 'trash'));
    await provider.create({ id, objects: join(mirror.dir, 'objects'), network: setup.network });
    try {
      await checkOut({ provider, mirror, id, start: { base: commit, commit }, signal });
      const result = await provider.exec(id, ['/bin/bash', '-c', setup.command], {
        combine: true,
        timeoutMs: setup.timeoutMinutes * 60_000,
        headBytes: TAIL_BYTES / 4,
        tailBytes: TAIL_BYTES,
        network: setup.network,
        registries: setup.registries ?? [],
        signal,
      });
      signal.throwIfAborted();
      if (result.reason !== 'exit' || result.exitCode !== 0) {
        const how =
          result.reason === 'timeout'
            ? `took longer than ${setup.timeoutMinutes} minutes`
            : `ended with code ${result.exitCode}`;
        const said = [headAndTail(result, 'a file that is gone').trimEnd(), ...(result.refused ?? [])].join('\n');
        throw terminal(
          FailureType.SetupFailed,
          `setup of ${mirror.repo.location} at ${commit.slice(0, 12)}, \`${setup.command}\`, ${how}:\n${said}`,
          setup.network === 'none'
            ? 'It ran without network: if it needs some, name the hosts in agentswarm.json, as in "network": {"allow": ["packages.example.com"]}.'
            : 'Mend setup.command in agentswarm.json, or what it runs.',
        );
      }
      const listed = await checkpointExec(provider, id, 'git ls-files -o --directory --no-empty-directory -z', [], {
        timeoutMs: 10 * 60_000,
        signal,
      });
      if (listed.exitCode !== 0 || listed.truncated) throw new CheckpointError(id, 'listing what setup made', listed);
      await writeFile(join(provider.recordDir(id), PATHS_FILE), listed.stdout);
      await provider.archive(id, folder).catch((error: unknown) => {
        // Another process of this host was first: its result is as good.
        if (!existsSync(join(folder, 'records', PATHS_FILE))) throw error;
      });
      log.info({ repo: mirror.repo.key, folder, durationMs: Date.now() - started }, 'setup is done');
      const loaded = await load(setup, key);
      if (loaded === null) throw new Error(`the result of setup in ${folder} is gone`);
      return loaded;
    } finally {
      await provider.terminate(id);
    }
  }

  const ensure: Setups['ensure'] = async (setup, mirror, commit, signal) => {
    const key = await keyOf(setup, mirror, commit);
    const ready = await load(setup, key);
    if (ready !== null) return ready;
    let flight = underWay.get(key);
    if (flight === undefined) {
      const stop = new AbortController();
      flight = { result: run(setup, mirror, commit, key, stop.signal), waiters: 0, stop };
      underWay.set(key, flight);
    }
    flight.waiters += 1;
    try {
      return await orAborted(flight.result, signal);
    } finally {
      flight.waiters -= 1;
      if (flight.waiters === 0) {
        // It has ended, or nobody is left who wants it.
        if (underWay.get(key) === flight) underWay.delete(key);
        flight.stop.abort();
      }
    }
  };

  return {
    ensure,
    install: (result, id, signal) => installSetup(provider, result, id, signal),

    keyFiles: async (id) => (await readInstalled(provider, id))?.setup.keyFiles ?? [],

    async again({ mirror, id, commit, signal }) {
      const has = await readInstalled(provider, id);
      if (has === null) return undefined;
      const { setup } = has;
      const key = await keyOf(setup, mirror, commit);
      if (key === has.key || key === has.failed) return undefined;
      const what = `${setup.keyFiles.join(', ')}: what \`${setup.command}\` makes of it`;
      try {
        await exchangeSetup(provider, await ensure(setup, mirror, commit, signal), id, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (failureTypeOf(error) !== FailureType.SetupFailed && !(error instanceof InstallError)) throw error;
        const left = (await readInstalled(provider, id)) ?? has;
        await writeInstalled(provider, id, { ...left, failed: key });
        const said = rootMessage(error);
        log.warn({ sandbox: id, repo: mirror.repo.key, commit, error: said }, 'setup failed for changed key files');
        const kept = left.key === null ? '' : ' What was there before is still there.';
        return `You have changed ${what} could not be had.${kept}\n${said}`;
      }
      log.info({ sandbox: id, repo: mirror.repo.key, commit, key }, 'a sandbox got setup again');
      return `You have changed ${what} is in the sandbox now, in place of what was there before.`;
    },
  };
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
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
