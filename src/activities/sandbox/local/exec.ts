/** Runs commands of a sandbox on this host: each in a bubblewrap of its own, or in the shell that is kept for it. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { SandboxLimits } from '../../../shared/config/worker-config.ts';
import type { ProcessOptions } from '../../process/run-process.ts';
import { canBeTold, type ShellSpec } from '../../process/shells.ts';
import { gone } from '../gone.ts';
import type { ExecOptions, SandboxPaths, SandboxResult } from '../provider.ts';
import type { OpenNetwork } from './exec-network.ts';
import type { Isolation, LocalHost } from './host.ts';
import { type Bind, bwrapArgs } from './isolation.ts';
import type { Guard } from './limits/guard.ts';
import type { Limiter } from './limits/limiter.ts';
import { SHELL_INSIDE } from './shell.ts';

export interface LocalExec {
  run(id: string, argv: readonly string[], exec: ExecOptions): Promise<SandboxResult>;
  /** Ends what this process runs in a sandbox, but for its kept shells. */
  stop(id: string): void;
  /** The sandbox is gone. */
  forget(id: string): void;
}

/** What a command finds mounted, and the shells that have it so. */
type Place = { is: string; objects: string; own?: ShellSpec; agents?: ShellSpec };

export function createExec(deps: {
  host: LocalHost;
  limits: SandboxLimits;
  limiter: Limiter;
  guard: Guard;
  openNetwork: OpenNetwork;
  /** Makes the sandbox's control groups, unless this process has. */
  openGroups: (id: string) => Promise<void>;
  folderOf: (id: string) => string;
  pathsOf: (id: string) => SandboxPaths;
}): LocalExec {
  const { host, limits, limiter, guard, openNetwork, openGroups, folderOf, pathsOf } = deps;
  const { isolation } = host;
  const running = new Map<string, Set<AbortController>>();
  const places = new Map<string, Place>();

  /** A kept shell still has the folders that were there when it was started, so another place needs another. */
  function placeOf(id: string, folder: string): Place {
    try {
      const is = ['workspace', 'git'].map((name) => statSync(join(folder, name)).ino).join(' ');
      const known = places.get(id);
      if (known?.is === is) return known;
      const place = { is, objects: readFileSync(join(folder, 'records', 'objects'), 'utf8') };
      places.set(id, place);
      return place;
    } catch (error) {
      places.delete(id);
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' || !existsSync(folder))
        throw gone(basename(folder), error);
      throw error;
    }
  }

  function bwrap(
    { bwrap: program, system, filter }: Isolation,
    mounts: { folder: string; objects: string; git: boolean; setup?: string; binds: readonly Bind[] },
    options: { network: 'own' | 'shared'; cwd: string },
  ): string[] {
    const { memoryMb } = limits;
    const seccomp = filter === undefined ? {} : { seccompFd: filter.fd };
    return [...bwrapArgs(program, system, mounts, { ...options, memoryMb, ...seccomp }), ...limiter.inside];
  }

  function shellOf(within: Isolation, id: string, folder: string, place: Place, own: boolean): ShellSpec {
    const known = own ? place.own : place.agents;
    if (known !== undefined) return known;
    const binds = [{ from: within.shell, to: SHELL_INSIDE }];
    const mounts = { folder, objects: place.objects, git: own, binds };
    const argv = [...bwrap(within, mounts, { network: 'own', cwd: pathsOf(id).workspace }), ...[SHELL_INSIDE, '-s']];
    const pidFile = guard.pidFileOf(folder, own ? 'own-shell' : 'shell');
    const wrap = { combine: false, ...(within.filter && { open: within.filter }), ...(pidFile && { pidFile }) };
    const env = host.environment(pathsOf(id));
    const spec = { owner: id, argv: limiter.wrap(id, argv, wrap), cwd: folder, env, own };
    place[own ? 'own' : 'agents'] = spec;
    return spec;
  }

  return {
    async run(id, argv, exec) {
      const folder = folderOf(id);
      const place = placeOf(id, folder);
      const session = await openNetwork(id, folder, exec);
      const { workspace } = pathsOf(id);
      const { cwd = workspace, git = false, setup, env = {} } = exec;
      const isolate = (): string[] => {
        if (isolation === undefined) return [];
        const { objects } = place;
        const mounts = { folder, objects, git, binds: session?.binds ?? [], ...(setup === undefined ? {} : { setup }) };
        const network = session?.shared === true ? 'shared' : 'own';
        return [...bwrap(isolation, mounts, { network, cwd }), ...(session?.start ?? [])];
      };
      // What needs the network or a setup's files has a bubblewrap of its own.
      const shell =
        isolation !== undefined && session === undefined && setup === undefined && canBeTold(argv, env, exec.stdin)
          ? {
              spec: shellOf(isolation, id, folder, place, git),
              command: { env, ...(cwd === workspace ? {} : { cwd }) },
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
          isolate,
          ...(shell === undefined ? {} : { shell }),
          wrap: { combine: exec.combine ?? false, ...(isolation?.filter && { open: isolation.filter }) },
          options: {
            ...processOptions(exec),
            cwd: isolation === undefined ? cwd : folder,
            env: { ...host.environment(pathsOf(id)), ...session?.env, ...env },
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
    stop(id) {
      for (const stop of running.get(id) ?? []) stop.abort();
    },
    forget: (id) => void places.delete(id),
  };
}

const processOptions = (exec: ExecOptions): Omit<ProcessOptions, 'env'> => ({
  timeoutMs: exec.timeoutMs,
  ...(exec.stdin === undefined ? {} : { stdin: exec.stdin }),
  ...(exec.headBytes === undefined ? {} : { headBytes: exec.headBytes }),
  ...(exec.tailBytes === undefined ? {} : { tailBytes: exec.tailBytes }),
  ...(exec.maxBytes === undefined ? {} : { maxBytes: exec.maxBytes }),
});
