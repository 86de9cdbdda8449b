/**
 * Sandboxes on this host: a folder each, and bubblewrap around each command. Below `<stateDir>/sandboxes/<id>/`
 * are workspace, tmp and home (the agent's), output and git (ours, mounted read-only or not at all), and records.
 */
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { SandboxLimits } from '../../../shared/config/worker-config.ts';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import type { Log } from '../../support/log.ts';
import { runProcess } from '../../process/run-process.ts';
import { createShells } from '../../process/shells.ts';
import type { Processes } from '../../process/spawner.ts';
import type { SandboxPaths, SandboxProvider } from '../provider.ts';
import { createRegistryFinder, type RegistryFinder } from '../registries/find.ts';
import { createExec } from './exec.ts';
import { createExecNetwork, type NetworkRules } from './exec-network.ts';
import { prepareHost } from './host.ts';
import { INSIDE } from './isolation.ts';
import { createGuard } from './limits/guard.ts';
import { createLimiter, type Limiter } from './limits/limiter.ts';
import { deleteTree, removeTree } from './remove.ts';

const ID = /^[a-z0-9-]{1,64}$/;
const NO_NETWORK: NetworkRules = { network: 'none', privateAddresses: [], registryTokens: {} };

/**
 * @param options.stateDir absolute; sandboxes, their trash and a copy of /etc live below it.
 * @param options.env the worker's; PATH and the registry settings are read from it, nothing else is passed on.
 * @throws SandboxUnavailable when bubblewrap does not work here and `unsafe` is not set.
 */
export async function createLocalProvider(options: {
  stateDir: string;
  limits: SandboxLimits;
  unsafe: boolean;
  env?: Readonly<Record<string, string | undefined>>;
  log: Log;
  /** How processes are started, and shells kept; in this process unless given. */
  processes?: Processes;
  /** What commands of agents may reach, and what the worker's owner allows. Default: nothing. */
  network?: NetworkRules;
  /** Default: one of its own, below `stateDir`. */
  finder?: RegistryFinder;
  /** Default: by what this machine has. */
  limiter?: Limiter;
}): Promise<SandboxProvider> {
  const { stateDir, limits, unsafe, env = process.env, log } = options;
  const { run, shells } = options.processes ?? { run: runProcess, shells: createShells() };
  const host = await prepareHost({ stateDir, unsafe, env, log });
  const isolated = host.isolation !== undefined;

  const root = join(stateDir, 'sandboxes');
  const trash = join(stateDir, 'trash');
  await mkdir(root, { recursive: true, mode: 0o700 });
  const { network: rules = NO_NETWORK } = options;
  const limiter = options.limiter ?? createLimiter(limits);
  const { bwrap } = host.isolation ?? {};
  const guard = createGuard({ limits, limiter, run, shells, log, ...(bwrap === undefined ? {} : { bwrap }) });
  void emptyTrash(trash, log);

  const folderOf = (id: string): string => {
    if (!ID.test(id)) throw terminal(FailureType.Invariant, `"${id}" is no sandbox id`);
    return join(root, id);
  };
  const pathsOf = (id: string): SandboxPaths => {
    if (isolated) return INSIDE;
    const at = (name: string) => join(folderOf(id), name);
    return {
      workspace: at('workspace'),
      tmp: at('tmp'),
      home: at('home'),
      output: at('output'),
      objects: at('objects'),
      git: at('git'),
      setup: at('setup'),
    };
  };

  /** Each worker's groups are below its own, so a sandbox that was adopted has some of both. */
  async function openGroups(id: string): Promise<void> {
    const made = limiter.open(id);
    if (made.length > 0)
      await appendFile(join(folderOf(id), 'records', 'groups'), made.map((dir) => `${dir}\n`).join(''));
  }

  async function groupsOf(id: string): Promise<string[]> {
    const text = await readFile(join(folderOf(id), 'records', 'groups'), 'utf8').catch(() => '');
    return text.split('\n').filter((line) => line !== '');
  }

  const finder = options.finder ?? createRegistryFinder({ dir: join(stateDir, 'registries'), env, log, run });
  const openNetwork = createExecNetwork({ rules, host, finder, env, log });
  const commands = createExec({ host, limits, limiter, guard, openNetwork, openGroups, folderOf, pathsOf });

  /** Nothing runs in it any more, and no shell waits in it. */
  async function end(id: string): Promise<string[]> {
    await shells.end(id);
    return await groupsOf(id);
  }

  async function forget(id: string, groups: readonly string[]): Promise<void> {
    guard.forget(id);
    commands.forget(id);
    await limiter.close(id, groups);
  }

  return {
    kind: 'local',
    isolated,
    fingerprint: host.fingerprint,
    agentNetwork: rules.network,
    paths: pathsOf,
    recordDir: (id) => join(folderOf(id), 'records'),

    async create({ id, objects }) {
      const folder = folderOf(id);
      await mkdir(folder, { mode: 0o700 });
      for (const name of ['workspace', 'tmp', 'home', 'output', 'git', 'records']) await mkdir(join(folder, name));
      await writeFile(join(folder, 'records', 'objects'), objects);
      // Nothing is mounted then: the path that alternates name must exist.
      if (!isolated) await symlink(objects, join(folder, 'objects'));
      await openGroups(id);
      await guard.begin(id, folder);
    },

    exec: commands.run,

    async terminate(id) {
      const folder = folderOf(id);
      commands.stop(id);
      const groups = await end(id);
      await removeTree(folder, trash, run);
      await forget(id, groups);
    },

    async list() {
      return (await readdir(root)).filter((name) => ID.test(name));
    },

    async has(id) {
      return existsSync(join(folderOf(id), 'workspace'));
    },

    async createdAt(id) {
      return (await stat(folderOf(id))).birthtimeMs;
    },

    async archive(id, folder) {
      await mkdir(dirname(folder), { recursive: true });
      const groups = await end(id);
      await rename(folderOf(id), folder);
      await forget(id, groups);
    },
  };
}

async function emptyTrash(trash: string, log: Log): Promise<void> {
  try {
    for (const name of existsSync(trash) ? await readdir(trash) : []) await deleteTree(join(trash, name));
  } catch (error) {
    log.warn({ error: String(error), trash }, 'deleted sandboxes could not be cleaned up');
  }
}
