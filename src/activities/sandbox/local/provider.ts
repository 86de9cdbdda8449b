/**
 * Sandboxes on this host: each is a folder, and bubblewrap isolates each command. Below `<stateDir>/sandboxes/<id>/`
 * are workspace, tmp and home, which are the agent's; output and git, which are the host's and mounted read-only or
 * not at all; and records, which are never mounted.
 */
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { SandboxLimits } from '../../../shared/config/worker-config.ts';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import type { NetworkSetting } from '../../../shared/contracts/network.ts';
import type { Log } from '../../support/log.ts';
import { type RunProcess, runProcess } from '../../process/run-process.ts';
import { createShells, type Shells } from '../../process/shells.ts';
import type { Processes } from '../../process/spawner.ts';
import type { ExecOptions, SandboxPaths, SandboxProvider, SandboxResult, SandboxSpec } from '../provider.ts';
import { createRegistryFinder } from '../registries/find.ts';
import { type RegistryFinder } from '../network/registry-finder.ts';
import { createExec, type LocalExec } from './exec.ts';
import { createExecNetwork, type NetworkRules } from './exec-network.ts';
import { type LocalHost, prepareHost } from './host.ts';
import { INSIDE } from './isolation.ts';
import { createGuard, type Guard } from './limits/guard.ts';
import { createLimiter, type Limiter } from './limits/limiter.ts';
import { deleteTree, removeTree } from './remove.ts';

const ID = /^[a-z0-9-]{1,64}$/;
const NO_NETWORK: NetworkRules = { network: 'none', privateAddresses: [], registryTokens: {} };

type LocalProviderOptions = {
  /** Absolute; sandboxes, their trash and a copy of /etc are below it. */
  stateDir: string;
  limits: SandboxLimits;
  unsafe: boolean;
  /** The worker's; PATH and the registry settings are read from it, and nothing else is passed on. */
  env?: Readonly<Record<string, string | undefined>>;
  log: Log;
  /** How processes and shells are started; by this process unless given. */
  processes?: Processes;
  /** What the agents' commands may reach, and what the worker's owner allows. Default: nothing. */
  network?: NetworkRules;
  /** Default: one of its own, below `stateDir`. */
  finder?: RegistryFinder;
  /** Default: by what this machine has. */
  limiter?: Limiter;
};

/** @throws SandboxUnavailable when bubblewrap does not work here and `unsafe` is not set. */
export async function createLocalProvider(options: LocalProviderOptions): Promise<SandboxProvider> {
  const { stateDir, unsafe, env = process.env, log } = options;
  const host = await prepareHost({ stateDir, unsafe, env, log });
  const provider = new LocalProvider(options, host);
  await mkdir(provider.root, { recursive: true, mode: 0o700 });
  void emptyTrash(provider.trash, log);
  return provider;
}

class LocalProvider implements SandboxProvider {
  readonly kind = 'local';
  readonly isolated: boolean;
  readonly fingerprint: string;
  readonly agentNetwork: NetworkSetting;
  readonly root: string;
  readonly trash: string;
  private readonly runProcess: RunProcess;
  private readonly shells: Shells;
  private readonly limiter: Limiter;
  private readonly guard: Guard;
  private readonly commands: LocalExec;

  constructor(options: LocalProviderOptions, host: LocalHost) {
    const { stateDir, limits, env = process.env, log, network: rules = NO_NETWORK } = options;
    const { run, shells } = options.processes ?? { run: runProcess, shells: createShells() };
    this.isolated = host.isolation !== undefined;
    this.fingerprint = host.fingerprint;
    this.agentNetwork = rules.network;
    this.root = join(stateDir, 'sandboxes');
    this.trash = join(stateDir, 'trash');
    this.runProcess = run;
    this.shells = shells;
    const limiter = options.limiter ?? createLimiter(limits);
    this.limiter = limiter;
    const bwrap = host.isolation?.bwrap;
    const finder = options.finder ?? createRegistryFinder({ dir: join(stateDir, 'registries'), env, log, run });
    this.guard = createGuard({ limits, limiter, run, shells, log, ...(bwrap === undefined ? {} : { bwrap }) });
    this.commands = createExec({
      host,
      limits,
      limiter,
      guard: this.guard,
      openNetwork: createExecNetwork({ rules, host, finder, env, log }),
      openGroups: (id) => this.openGroups(id),
      folderOf: (id) => this.folderOf(id),
      pathsOf: (id) => this.paths(id),
    });
  }

  paths(id: string): SandboxPaths {
    if (this.isolated) return INSIDE;
    const folder = this.folderOf(id);
    return {
      workspace: join(folder, 'workspace'),
      tmp: join(folder, 'tmp'),
      home: join(folder, 'home'),
      output: join(folder, 'output'),
      objects: join(folder, 'objects'),
      git: join(folder, 'git'),
      setup: join(folder, 'setup'),
    };
  }

  recordDir(id: string): string {
    return join(this.folderOf(id), 'records');
  }

  async create({ id, objects }: SandboxSpec): Promise<void> {
    const folder = this.folderOf(id);
    await mkdir(folder, { mode: 0o700 });
    for (const name of ['workspace', 'tmp', 'home', 'output', 'git', 'records']) await mkdir(join(folder, name));
    await writeFile(join(folder, 'records', 'objects'), objects);
    // Without isolation nothing is mounted, and the path that git's alternates name must exist.
    if (!this.isolated) await symlink(objects, join(folder, 'objects'));
    await this.openGroups(id);
    await this.guard.begin(id, folder);
  }

  exec(id: string, argv: readonly string[], options: ExecOptions): Promise<SandboxResult> {
    return this.commands.run(id, argv, options);
  }

  async terminate(id: string): Promise<void> {
    const folder = this.folderOf(id);
    this.commands.stop(id);
    const groups = await this.endShells(id);
    await removeTree(folder, this.trash, this.runProcess);
    await this.forget(id, groups);
  }

  async list(): Promise<string[]> {
    return (await readdir(this.root)).filter((name) => ID.test(name));
  }

  async has(id: string): Promise<boolean> {
    return existsSync(join(this.folderOf(id), 'workspace'));
  }

  async createdAt(id: string): Promise<number> {
    return (await stat(this.folderOf(id))).birthtimeMs;
  }

  async archive(id: string, folder: string): Promise<void> {
    await mkdir(dirname(folder), { recursive: true });
    const groups = await this.endShells(id);
    await rename(this.folderOf(id), folder);
    await this.forget(id, groups);
  }

  private folderOf(id: string): string {
    if (!ID.test(id)) throw terminal(FailureType.Invariant, `"${id}" is no sandbox id`);
    return join(this.root, id);
  }

  /**
   * Makes the sandbox's control groups, unless this process has done so. Each worker's groups are below its own, so a
   * sandbox that another worker has adopted has groups of both: the record lists all of them.
   */
  private async openGroups(id: string): Promise<void> {
    const made = this.limiter.open(id);
    if (made.length > 0) await appendFile(this.groupsFile(id), made.map((dir) => `${dir}\n`).join(''));
  }

  private groupsFile(id: string): string {
    return join(this.folderOf(id), 'records', 'groups');
  }

  /** Ends the sandbox's shells. @returns its control groups, whichever worker made them. */
  private async endShells(id: string): Promise<string[]> {
    await this.shells.end(id);
    const text = await readFile(this.groupsFile(id), 'utf8').catch(() => '');
    return text.split('\n').filter((row) => row !== '');
  }

  private async forget(id: string, groups: readonly string[]): Promise<void> {
    this.guard.forget(id);
    this.commands.forget(id);
    await this.limiter.close(id, groups);
  }
}

async function emptyTrash(trash: string, log: Log): Promise<void> {
  try {
    for (const name of existsSync(trash) ? await readdir(trash) : []) await deleteTree(join(trash, name));
  } catch (error) {
    log.warn({ error: String(error), trash }, 'deleted sandboxes could not be cleaned up');
  }
}
