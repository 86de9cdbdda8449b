/**
 * Sandboxes on this host: a folder each, and bubblewrap around each command. Below `<stateDir>/sandboxes/<id>/`
 * are workspace, tmp and home (the agent's), output and git (ours, mounted read-only or not at all), and records.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { arch, homedir, release } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Config, SandboxLimits } from '../../../shared/config.ts';
import { FailureType, terminal } from '../../../shared/failures.ts';
import type { Log } from '../../log.ts';
import { gone } from '../gone.ts';
import { createSandboxNetwork, type NetworkSession, type SandboxNetworkDeps } from '../network/index.ts';
import { type ProcessOptions, runProcess } from '../../process/run-process.ts';
import { canBeTold, createShells } from '../../process/shells.ts';
import type { Processes } from '../../process/spawner.ts';
import type { ExecOptions, SandboxPaths, SandboxProvider } from '../provider.ts';
import { isSetupSandbox } from '../setup.ts';
import { makeEtc } from './etc.ts';
import { makeShell, SHELL_INSIDE } from './shell.ts';
import {
  type Bind,
  bwrapArgs,
  INSIDE,
  INSTALL_BUBBLEWRAP,
  NODE_INSIDE,
  probeIsolation,
  systemArgs,
} from './isolation.ts';
import { createGuard } from './limits/guard.ts';
import { createLimiter, type Limiter } from './limits/limiter.ts';
import { deleteTree, removeTree } from './remove.ts';
import { loadSeccomp, SECCOMP_FD } from './seccomp/load.ts';
import { findToolchains } from './toolchains.ts';

const ID = /^[a-z0-9-]{1,64}$/;

type NetworkRules = Pick<Config['sandbox'], 'network' | 'privateAddresses' | 'registryTokens'> &
  Pick<SandboxNetworkDeps, 'resolve' | 'connect' | 'ca' | 'limits'>;
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
  /** Default: by what this machine has. */
  limiter?: Limiter;
}): Promise<SandboxProvider> {
  const { stateDir, limits, unsafe, env = process.env, log } = options;
  const { run, shells } = options.processes ?? { run: runProcess, shells: createShells() };
  const probe = await probeIsolation(env);
  if (!probe.ok && !unsafe) {
    throw terminal(
      FailureType.SandboxUnavailable,
      `Agents cannot be isolated here: ${probe.reason}.`,
      INSTALL_BUBBLEWRAP,
    );
  }
  if (!probe.ok) log.warn({ reason: probe.reason }, 'sandboxes run WITHOUT isolation, as sandbox.unsafe says');

  const root = join(stateDir, 'sandboxes');
  const trash = join(stateDir, 'trash');
  await mkdir(root, { recursive: true, mode: 0o700 });
  const home = homedir();
  const { network: rules = NO_NETWORK } = options;
  const toolchains = findToolchains(env, [stateDir], home);
  const nodeOfOurs = /^\/usr\//.test(process.execPath) ? undefined : process.execPath;
  const limiter = options.limiter ?? createLimiter(limits);
  const guard = createGuard({ limits, limiter, run, shells, log, ...(probe.ok ? { bwrap: probe.bwrap } : {}) });
  const seccomp = probe.ok ? await loadSeccomp(probe.bwrap, stateDir) : undefined;
  if (seccomp?.ok === false) log.warn({ reason: seccomp.reason }, 'sandboxes run without a filter of system calls');
  const filter = seccomp?.ok === true ? { fd: SECCOMP_FD, file: seccomp.file } : undefined;
  const etc = probe.ok ? await makeEtc(stateDir) : '/etc';
  const system = probe.ok
    ? systemArgs({ etc, binds: toolchains.binds, ...(nodeOfOurs === undefined ? {} : { node: nodeOfOurs }) })
    : [];
  const nodeFolder = nodeOfOurs === undefined ? [] : [probe.ok ? NODE_INSIDE : dirname(nodeOfOurs)];
  const path = [...nodeFolder, ...toolchains.path].join(':');
  const shell = probe.ok ? makeShell(stateDir) : undefined;
  const running = new Map<string, Set<AbortController>>();
  void emptyTrash(trash, log);

  const folderOf = (id: string): string => {
    if (!ID.test(id)) throw terminal(FailureType.Invariant, `"${id}" is no sandbox id`);
    return join(root, id);
  };
  const pathsOf = (id: string): SandboxPaths => {
    if (probe.ok) return INSIDE;
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

  function objectsOf(id: string): string {
    try {
      // Before every command: at once, without a turn of the thread pool for each of its four steps.
      return readFileSync(join(folderOf(id), 'records', 'objects'), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      throw gone(id);
    }
  }

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

  const networks = createSandboxNetwork({
    ...rules,
    env,
    home,
    node: nodeOfOurs === undefined ? process.execPath : `${NODE_INSIDE}/node`,
    log,
  });

  /** Undefined: nothing to open, or nothing can be kept from the network here. */
  async function openNetwork(id: string, folder: string, exec: ExecOptions): Promise<NetworkSession | undefined> {
    const { network = 'none', registries = [], service } = exec;
    if (!probe.ok && registries.length > 0) {
      throw terminal(
        FailureType.SetupFailed,
        `setup.registries cannot be used without isolation, and ${probe.reason}.`,
        INSTALL_BUBBLEWRAP,
      );
    }
    if (!probe.ok && service !== undefined) {
      throw terminal(
        FailureType.SandboxUnavailable,
        `An external agent cannot be run without isolation, and ${probe.reason}.`,
        INSTALL_BUBBLEWRAP,
      );
    }
    if (!probe.ok || (network === 'none' && registries.length === 0 && service === undefined)) return undefined;
    try {
      const setting = isSetupSandbox(id) ? 'setup.network' : 'sandbox.network';
      return await networks.open({
        sandbox: id,
        folder,
        network,
        registries,
        setting,
        ...(service === undefined ? {} : { service }),
      });
    } catch (error) {
      if (!existsSync(folder)) throw gone(id, error);
      throw error;
    }
  }

  /** Which folders are mounted: a kept shell still has those that were there when it was started. */
  function placeOf(folder: string): string {
    try {
      return ['workspace', 'git'].map((name) => statSync(join(folder, name)).ino).join(' ');
    } catch (error) {
      throw existsSync(folder) ? error : gone(basename(folder), error);
    }
  }

  /** The sandbox's clean environment: nothing of the worker's but PATH. */
  function environment(id: string, extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    const paths = pathsOf(id);
    return {
      ...toolchains.env,
      PATH: path,
      HOME: paths.home,
      TMPDIR: paths.tmp,
      USER: 'agent',
      LOGNAME: 'agent',
      LANG: 'C.UTF-8',
      TERM: 'dumb',
      ...extra,
    };
  }

  return {
    kind: 'local',
    isolated: probe.ok,
    fingerprint: createHash('sha256')
      .update(JSON.stringify([release(), arch(), process.version, path, toolchains.binds, probe.ok]))
      .digest('hex'),
    agentNetwork: rules.network,
    paths: pathsOf,
    recordDir: (id) => join(folderOf(id), 'records'),

    async create({ id, objects }) {
      const folder = folderOf(id);
      await mkdir(folder, { mode: 0o700 });
      for (const name of ['workspace', 'tmp', 'home', 'output', 'git', 'records']) await mkdir(join(folder, name));
      await writeFile(join(folder, 'records', 'objects'), objects);
      // Nothing is mounted then: the path that alternates name must exist.
      if (!probe.ok) await symlink(objects, join(folder, 'objects'));
      await openGroups(id);
      await guard.begin(id, folder);
    },

    async exec(id, argv, exec) {
      const folder = folderOf(id);
      const objects = objectsOf(id);
      const session = await openNetwork(id, folder, exec);
      const { workspace } = pathsOf(id);
      const cwd = exec.cwd ?? workspace;
      const isolation = (binds: readonly Bind[], at: string): string[] => {
        if (!probe.ok) return [];
        const { git = false, setup } = exec;
        const mounts = { folder, objects, git, binds, ...(setup === undefined ? {} : { setup }) };
        const argv = bwrapArgs(probe.bwrap, system, mounts, {
          network: session?.shared === true ? 'shared' : 'own',
          cwd: at,
          memoryMb: limits.memoryMb,
          ...(filter === undefined ? {} : { seccompFd: filter.fd }),
        });
        return [...argv, ...limiter.inside];
      };
      // What needs the network or a setup's files has a bubblewrap of its own.
      const keeps =
        shell !== undefined &&
        session === undefined &&
        exec.setup === undefined &&
        canBeTold(argv, exec.env ?? {}, exec.stdin);
      const kept = keeps
        ? {
            argv: [...isolation([{ from: shell, to: SHELL_INSIDE }], workspace), SHELL_INSIDE, '-s'],
            env: environment(id),
            place: placeOf(folder),
            own: exec.git ?? false,
            command: { env: exec.env ?? {}, ...(cwd === workspace ? {} : { cwd }) },
          }
        : undefined;
      const stop = new AbortController();
      const group = running.get(id) ?? new Set();
      running.set(id, group.add(stop));
      try {
        await openGroups(id);
        const result = await guard.run({
          id,
          folder,
          argv,
          isolate: [...isolation(session?.binds ?? [], cwd), ...(session?.start ?? [])],
          ...(kept === undefined ? {} : { shell: kept }),
          wrap: { combine: exec.combine ?? false, ...(filter === undefined ? {} : { open: filter }) },
          options: {
            ...processOptions(exec),
            cwd: probe.ok ? folder : cwd,
            env: environment(id, { ...session?.env, ...exec.env }),
            signal: exec.signal === undefined ? stop.signal : AbortSignal.any([exec.signal, stop.signal]),
            ...(exec.outputFile === undefined ? {} : { outputFile: join(folder, 'output', exec.outputFile) }),
          },
        });
        const refused = session?.refused() ?? [];
        return refused.length === 0 ? result : { ...result, refused };
      } catch (error) {
        if (!existsSync(folder)) throw gone(id, error);
        throw error;
      } finally {
        group.delete(stop);
        if (group.size === 0) running.delete(id);
        await session?.close();
      }
    },

    async terminate(id) {
      const folder = folderOf(id);
      for (const stop of running.get(id) ?? []) stop.abort();
      await shells.end(id);
      const groups = await groupsOf(id);
      await removeTree(folder, trash, run);
      guard.forget(id);
      await limiter.close(id, groups);
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
      await shells.end(id);
      const groups = await groupsOf(id);
      await rename(folderOf(id), folder);
      guard.forget(id);
      await limiter.close(id, groups);
    },
  };
}

const processOptions = (exec: ExecOptions): Omit<ProcessOptions, 'env'> => ({
  timeoutMs: exec.timeoutMs,
  ...(exec.stdin === undefined ? {} : { stdin: exec.stdin }),
  ...(exec.headBytes === undefined ? {} : { headBytes: exec.headBytes }),
  ...(exec.tailBytes === undefined ? {} : { tailBytes: exec.tailBytes }),
  ...(exec.maxBytes === undefined ? {} : { maxBytes: exec.maxBytes }),
});

async function emptyTrash(trash: string, log: Log): Promise<void> {
  try {
    for (const name of existsSync(trash) ? await readdir(trash) : []) await deleteTree(join(trash, name));
  } catch (error) {
    log.warn({ error: String(error), trash }, 'deleted sandboxes could not be cleaned up');
  }
}
