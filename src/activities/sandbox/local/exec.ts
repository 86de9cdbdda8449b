/** Runs commands of a sandbox on this host: each in a bubblewrap of its own, or in a shell that waits for commands. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { SandboxLimits } from '../../../shared/config/worker-config.ts';
import type { ProcessOptions } from '../../process/run-process.ts';
import { canRunInShell, type ShellSpec } from '../../process/shells.ts';
import { gone } from '../gone.ts';
import type { ExecOptions, SandboxPaths, SandboxResult } from '../provider.ts';
import type { NetworkSession } from '../network/index.ts';
import type { OpenNetwork } from './exec-network.ts';
import type { Isolation, LocalHost } from './host.ts';
import { type Bind, bwrapArgs } from './isolation.ts';
import type { Guard, GuardedCommand } from './limits/guard.ts';
import type { Limiter } from './limits/limiter.ts';
import { SHELL_INSIDE } from './shell.ts';

export interface LocalExec {
  run(id: string, argv: readonly string[], exec: ExecOptions): Promise<SandboxResult>;
  /** Ends the commands that this process runs in a sandbox; its shells go on waiting. */
  stop(id: string): void;
  /** Drops what is remembered of a sandbox that is gone. */
  forget(id: string): void;
}

/** What commands of a sandbox find mounted, and the shells that were started with it. */
type MountedFolders = { inodes: string; objects: string; ownShell?: ShellSpec; agentShell?: ShellSpec };

type LocalExecDeps = {
  host: LocalHost;
  limits: SandboxLimits;
  limiter: Limiter;
  guard: Guard;
  openNetwork: OpenNetwork;
  /** Makes the sandbox's control groups, unless this process has done so. */
  openGroups: (id: string) => Promise<void>;
  folderOf: (id: string) => string;
  pathsOf: (id: string) => SandboxPaths;
};

export const createExec = (deps: LocalExecDeps): LocalExec => new GuardedExec(deps);

class GuardedExec implements LocalExec {
  private readonly deps: LocalExecDeps;
  private readonly running = new Map<string, Set<AbortController>>();
  private readonly mounted = new Map<string, MountedFolders>();

  constructor(deps: LocalExecDeps) {
    this.deps = deps;
  }

  async run(id: string, argv: readonly string[], exec: ExecOptions): Promise<SandboxResult> {
    const folder = this.deps.folderOf(id);
    const mounted = this.mountedFolders(id, folder);
    const session = await this.deps.openNetwork(id, folder, exec);
    const command = this.guardedCommand({ id, folder, mounted, argv, exec, session });
    const stop = new AbortController();
    const group = this.running.get(id) ?? new Set();
    this.running.set(id, group.add(stop));
    const signal = exec.signal === undefined ? stop.signal : AbortSignal.any([exec.signal, stop.signal]);
    try {
      await this.deps.openGroups(id);
      const result = await this.deps.guard.run({ ...command, options: { ...command.options, signal } });
      const refused = session?.refused() ?? [];
      return refused.length === 0 ? result : { ...result, refused };
    } catch (error) {
      if (!existsSync(folder)) throw gone(id, error);
      throw error;
    } finally {
      group.delete(stop);
      if (group.size === 0) this.running.delete(id);
      await session?.close();
    }
  }

  stop(id: string): void {
    for (const stop of this.running.get(id) ?? []) stop.abort();
  }

  forget(id: string): void {
    this.mounted.delete(id);
  }

  /**
   * A shell still has the folders that were there when it was started. When a folder was replaced since, commands need
   * new shells, so the shells are remembered by the folders' inodes.
   */
  private mountedFolders(id: string, folder: string): MountedFolders {
    try {
      const inodes = ['workspace', 'git'].map((name) => statSync(join(folder, name)).ino).join(' ');
      const known = this.mounted.get(id);
      if (known?.inodes === inodes) return known;
      const mounted = { inodes, objects: readFileSync(join(folder, 'records', 'objects'), 'utf8') };
      this.mounted.set(id, mounted);
      return mounted;
    } catch (error) {
      this.mounted.delete(id);
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' || !existsSync(folder))
        throw gone(basename(folder), error);
      throw error;
    }
  }

  /** The command as the guard runs it: in a bubblewrap of its own or, where it can be, in a shell that waits. */
  private guardedCommand(call: {
    id: string;
    folder: string;
    mounted: MountedFolders;
    argv: readonly string[];
    exec: ExecOptions;
    session: NetworkSession | undefined;
  }): GuardedCommand {
    const { id, folder, mounted, argv, exec, session } = call;
    const { host, pathsOf } = this.deps;
    const { isolation } = host;
    const { workspace } = pathsOf(id);
    const { cwd = workspace, git = false, setup, env = {} } = exec;
    const isolate = (): string[] => {
      if (isolation === undefined) return [];
      const binds = session?.binds ?? [];
      const mounts = { folder, objects: mounted.objects, git, binds, ...(setup === undefined ? {} : { setup }) };
      const network = session?.shared === true ? 'shared' : 'own';
      return [...this.bwrap(isolation, mounts, { network, cwd }), ...(session?.start ?? [])];
    };
    // A command that needs the network or a setup's files has a bubblewrap of its own.
    const spec =
      isolation !== undefined && session === undefined && setup === undefined && canRunInShell(argv, env, exec.stdin)
        ? this.shellOf(isolation, { id, folder, mounted, own: git })
        : undefined;
    return {
      id,
      folder,
      argv,
      isolate,
      ...(spec && { shell: { spec, command: { env, ...(cwd === workspace ? {} : { cwd }) } } }),
      wrap: { combine: exec.combine ?? false, ...(isolation?.filter && { open: isolation.filter }) },
      options: {
        ...processOptions(exec),
        cwd: isolation === undefined ? cwd : folder,
        env: { ...host.environment(pathsOf(id)), ...session?.env, ...env },
        ...(exec.outputFile === undefined ? {} : { outputFile: join(folder, 'output', exec.outputFile) }),
      },
    };
  }

  /** argv that starts a command in bubblewrap, to put before the command's own. */
  private bwrap(
    { bwrap: program, system, filter }: Isolation,
    mounts: { folder: string; objects: string; git: boolean; setup?: string; binds: readonly Bind[] },
    options: { network: 'own' | 'shared'; cwd: string },
  ): string[] {
    const { limits, limiter } = this.deps;
    const seccomp = filter === undefined ? {} : { seccompFd: filter.fd };
    const args = bwrapArgs(program, system, mounts, { ...options, memoryMb: limits.memoryMb, ...seccomp });
    return [...args, ...limiter.inside];
  }

  /** The shell that runs the host's own commands (`own`), or the agent's, in a sandbox. */
  private shellOf(
    isolation: Isolation,
    sandbox: { id: string; folder: string; mounted: MountedFolders; own: boolean },
  ): ShellSpec {
    const { id, folder, mounted, own } = sandbox;
    const known = own ? mounted.ownShell : mounted.agentShell;
    if (known !== undefined) return known;
    const { host, limiter, guard, pathsOf } = this.deps;
    const { filter } = isolation;
    const binds = [{ from: isolation.shell, to: SHELL_INSIDE }];
    const mounts = { folder, objects: mounted.objects, git: own, binds };
    const inside = this.bwrap(isolation, mounts, { network: 'own', cwd: pathsOf(id).workspace });
    const pidFile = guard.pidFileOf(folder, own ? 'own-shell' : 'shell');
    const wrap = { combine: false, ...(filter && { open: filter }), ...(pidFile && { pidFile }) };
    const argv = limiter.wrap(id, [...inside, SHELL_INSIDE, '-s'], wrap);
    const spec = { owner: id, argv, cwd: folder, env: host.environment(pathsOf(id)), own };
    mounted[own ? 'ownShell' : 'agentShell'] = spec;
    return spec;
  }
}

const processOptions = (exec: ExecOptions): Omit<ProcessOptions, 'env'> => ({
  timeoutMs: exec.timeoutMs,
  ...(exec.stdin === undefined ? {} : { stdin: exec.stdin }),
  ...(exec.headBytes === undefined ? {} : { headBytes: exec.headBytes }),
  ...(exec.tailBytes === undefined ? {} : { tailBytes: exec.tailBytes }),
  ...(exec.maxBytes === undefined ? {} : { maxBytes: exec.maxBytes }),
});
