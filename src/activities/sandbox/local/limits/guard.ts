/** Runs one command of a sandbox within its limits, and says which of them it met. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxLimits } from '../../../../shared/config/worker-config.ts';
import type { Log } from '../../../support/log.ts';
import type { ExecResult, ProcessOptions, RunProcess } from '../../../process/run-process.ts';
import type { ShellCommand, Shells, ShellSpec } from '../../../process/shells.ts';
import type { SandboxResult } from '../../provider.ts';
import type { Limiter, WrapOptions } from './limiter.ts';
import { limitText, resourceLimitHit } from './text.ts';
import { createDiskUsage, overLimits, startWatch } from './watch.ts';

const MIB = 1_048_576;
/** Outputs that were cut are kept whole, up to this part of the sandbox's disk; then the oldest go. */
const OUTPUT_SHARE = 1 / 8;

export type GuardedCommand = {
  id: string;
  /** The sandbox's own, on the host. */
  folder: string;
  /** The command, and what makes its sandbox. */
  argv: readonly string[];
  isolate: () => readonly string[];
  options: ProcessOptions;
  wrap: Pick<WrapOptions, 'combine' | 'open'>;
  /** A kept shell that may run it; absent: none may. */
  shell?: { spec: ShellSpec; command: Pick<ShellCommand, 'cwd' | 'env'> };
};

export interface Guard {
  begin(id: string, folder: string): Promise<void>;
  run(command: GuardedCommand): Promise<SandboxResult>;
  forget(id: string): void;
  /** Where the first process of a kept shell writes its id, where that is looked for. */
  pidFileOf(folder: string, name: 'shell' | 'own-shell'): string | undefined;
}

export function createGuard(deps: {
  limits: SandboxLimits;
  limiter: Limiter;
  run: RunProcess;
  shells: Shells;
  log: Log;
  bwrap?: string;
}): Guard {
  const { limits, limiter, run, shells, log } = deps;
  const usage = createDiskUsage(deps);
  /** What the groups had counted when the last command ended. */
  const counted = new Map<string, ReturnType<Limiter['events']>>();
  let commands = 0;

  const pidFileOf = (folder: string, name: string): string | undefined =>
    limiter.kind === 'rlimit' ? join(folder, 'records', `pid-${process.pid}-${name}`) : undefined;

  async function inShell(command: GuardedCommand, options: ProcessOptions): Promise<ExecResult | null> {
    const { argv, shell, wrap } = command;
    if (shell === undefined) return null;
    const { cwd: _, ...kept } = options;
    return shells.run(shell.spec, argv, { ...kept, ...shell.command, combine: wrap.combine });
  }

  async function runGuarded(command: GuardedCommand): Promise<SandboxResult> {
    const { id, folder, argv, isolate, options, wrap } = command;
    const stop = new AbortController();
    const { signal } = options;
    const pidFile = pidFileOf(folder, String(++commands));
    const ownLimit = options.maxBytes === undefined;
    const before = counted.get(id) ?? limiter.events(id);
    let stopped: string | undefined;
    let looked = pidFileOf(folder, command.shell?.spec.own === true ? 'own-shell' : 'shell');
    const watch = startWatch({
      limits,
      look: () => usage.look(id, folder),
      ...(looked && { pidFile: () => looked ?? '' }),
      stop(why) {
        stopped = why;
        stop.abort();
      },
      onError: (error) => log.warn({ sandbox: id, error: String(error) }, 'a running command could not be watched'),
    });
    try {
      const limited = {
        ...options,
        maxBytes: options.maxBytes ?? limits.outputMb * MIB,
        signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
      };
      let result = await inShell(command, limited);
      if (result === null) {
        looked = pidFile;
        const wrapped = limiter.wrap(id, [...isolate(), ...argv], { ...wrap, ...(pidFile && { pidFile }) });
        result = await run(wrapped, limited);
      }
      watch.end();
      if (result.truncated && options.outputFile !== undefined) await dropOldest(join(folder, 'output'));
      if (stopped !== undefined && signal?.aborted !== true) {
        await shells.end(id);
        return { ...result, limits: [stopped] };
      }
      const after = limiter.events(id);
      counted.set(id, after);
      const met = [
        ...(ownLimit && result.reason === 'output-limit' ? [limitText.output(limits)] : []),
        ...countedByGroups(result, before, after),
        ...overLimits(limits, await usage.look(id, folder, { exactly: true })),
      ];
      const resource = met.length > 0 ? undefined : resourceLimitHit(limits, result, limiter.kind === 'rlimit');
      const all = resource === undefined ? met : [resource];
      // Memory that outlives its processes goes with the shell's namespaces.
      if (all.length > 0) await shells.end(id);
      return all.length === 0 ? result : { ...result, limits: all };
    } finally {
      watch.end();
      if (pidFile !== undefined) await rm(pidFile, { force: true });
    }
  }

  function countedByGroups(
    result: ExecResult,
    before: ReturnType<Limiter['events']>,
    after: ReturnType<Limiter['events']>,
  ): string[] {
    if (before === null || after === null) return [];
    const killed = result.exitCode === 137 || result.killedBy === 'SIGKILL';
    return [
      ...(after.memoryKills > before.memoryKills
        ? [killed ? limitText.memory(limits) : limitText.memoryPart(limits)]
        : []),
      ...(after.forksRefused > before.forksRefused ? [limitText.forks(limits)] : []),
    ];
  }

  async function dropOldest(output: string): Promise<void> {
    const names = await readdir(output).catch(() => []);
    const files = await Promise.all(
      names.map(async (name) => ({ path: join(output, name), ...(await stat(join(output, name))) })),
    );
    let room = limits.diskMb * MIB * OUTPUT_SHARE;
    for (const { path, size } of files.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
      room -= size;
      if (room < 0) await rm(path, { force: true });
    }
  }

  function forget(id: string): void {
    usage.forget(id);
    counted.delete(id);
  }

  return { begin: usage.begin, run: runGuarded, forget, pidFileOf };
}
