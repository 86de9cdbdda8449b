/** Runs one command of a sandbox within its limits, and says which of them it met. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxLimits } from '../../../../shared/config/worker-config.ts';
import type { Log } from '../../../support/log.ts';
import type { ExecResult, ProcessOptions, RunProcess } from '../../../process/run-process.ts';
import type { ShellCommand, Shells, ShellSpec } from '../../../process/shells.ts';
import type { SandboxResult } from '../../provider.ts';
import type { GroupEvents } from './groups.ts';
import type { Limiter, WrapOptions } from './limiter.ts';
import { limitText, resourceLimitHit } from './text.ts';
import { createDiskUsage, type DiskUsage, overLimits, startWatch } from './watch.ts';

const MIB = 1_048_576;
/** Whole outputs of commands that were cut may take this part of the sandbox's disk; beyond it the oldest are deleted. */
const OUTPUT_SHARE = 1 / 8;

export type GuardedCommand = {
  id: string;
  /** The sandbox's own, on the host. */
  folder: string;
  argv: readonly string[];
  /** argv that isolates a command, to put before it; empty without isolation. */
  isolate: () => readonly string[];
  options: ProcessOptions;
  wrap: Pick<WrapOptions, 'combine' | 'open'>;
  /** A waiting shell that may run it; absent: none may. */
  shell?: { spec: ShellSpec; command: Pick<ShellCommand, 'cwd' | 'env'> };
};

export interface Guard {
  begin(id: string, folder: string): Promise<void>;
  run(command: GuardedCommand): Promise<SandboxResult>;
  forget(id: string): void;
  /** The file in which the first process of a waiting shell writes its id; undefined where control groups count instead. */
  pidFileOf(folder: string, name: 'shell' | 'own-shell'): string | undefined;
}

type GuardDeps = {
  limits: SandboxLimits;
  limiter: Limiter;
  run: RunProcess;
  shells: Shells;
  log: Log;
  bwrap?: string;
};

/** One command that is watched. */
type Watch = {
  /** Where the first process of what runs now writes its id; another file when no shell took the command. */
  pidFile: string | undefined;
  /** The limit for which the command was stopped, as a sentence for the agent. */
  stoppedBy: string | undefined;
  end(): void;
};

export const createGuard = (deps: GuardDeps): Guard => new LimitGuard(deps);

class LimitGuard implements Guard {
  private readonly deps: GuardDeps;
  private readonly usage: DiskUsage;
  /** What the control groups had counted when the last command of a sandbox ended. */
  private readonly counted = new Map<string, GroupEvents | null>();
  private commands = 0;

  constructor(deps: GuardDeps) {
    this.deps = deps;
    this.usage = createDiskUsage(deps);
  }

  begin(id: string, folder: string): Promise<void> {
    return this.usage.begin(id, folder);
  }

  async run(command: GuardedCommand): Promise<SandboxResult> {
    const { id, folder, options } = command;
    const { limiter, shells } = this.deps;
    const stop = new AbortController();
    const { signal } = options;
    const limited = {
      ...options,
      maxBytes: options.maxBytes ?? this.deps.limits.outputMb * MIB,
      signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
    };
    const before = this.counted.get(id) ?? limiter.events(id);
    const shellPidFile = this.pidFileOf(folder, command.shell?.spec.own === true ? 'own-shell' : 'shell');
    const ownPidFile = this.pidFileOf(folder, String(++this.commands));
    const watch = this.watch(command, shellPidFile, stop);
    try {
      let result = await this.runInShell(command, limited);
      if (result === null) {
        watch.pidFile = ownPidFile;
        result = await this.runAlone(command, limited, ownPidFile);
      }
      watch.end();
      if (result.truncated && options.outputFile !== undefined) await this.dropOldest(join(folder, 'output'));
      if (watch.stoppedBy !== undefined && signal?.aborted !== true) {
        await shells.end(id);
        return { ...result, limits: [watch.stoppedBy] };
      }
      const met = await this.limitsMet(command, result, before);
      // Files in memory outlive their processes, and go with the namespaces of the shell.
      if (met.length > 0) await shells.end(id);
      return met.length === 0 ? result : { ...result, limits: met };
    } finally {
      watch.end();
      if (ownPidFile !== undefined) await rm(ownPidFile, { force: true });
    }
  }

  forget(id: string): void {
    this.usage.forget(id);
    this.counted.delete(id);
  }

  pidFileOf(folder: string, name: string): string | undefined {
    const { kind } = this.deps.limiter;
    return kind === 'rlimit' ? join(folder, 'records', `pid-${process.pid}-${name}`) : undefined;
  }

  /** Watches a command until `end`, and aborts `stop` when it is over a limit; `stoppedBy` then says which. */
  private watch({ id, folder }: GuardedCommand, pidFile: string | undefined, stop: AbortController): Watch {
    const watch: Watch = { pidFile, stoppedBy: undefined, end: () => looking.end() };
    const looking = startWatch({
      limits: this.deps.limits,
      look: () => this.usage.look(id, folder),
      ...(pidFile && { pidFile: () => watch.pidFile ?? '' }),
      stop(limit) {
        watch.stoppedBy = limit;
        stop.abort();
      },
      onError: (error) =>
        this.deps.log.warn({ sandbox: id, error: String(error) }, 'a running command could not be watched'),
    });
    return watch;
  }

  /** Resolves with null when no shell may run it, or none could: nothing was run then. */
  private async runInShell(command: GuardedCommand, options: ProcessOptions): Promise<ExecResult | null> {
    const { argv, shell, wrap } = command;
    if (shell === undefined) return null;
    const { cwd: _, ...withoutCwd } = options;
    return this.deps.shells.run(shell.spec, argv, { ...withoutCwd, ...shell.command, combine: wrap.combine });
  }

  private runAlone(command: GuardedCommand, options: ProcessOptions, pidFile?: string): Promise<ExecResult> {
    const { id, argv, isolate, wrap } = command;
    const { limiter, run } = this.deps;
    return run(limiter.wrap(id, [...isolate(), ...argv], { ...wrap, ...(pidFile && { pidFile }) }), options);
  }

  /** The limits that a command met without being stopped for them, as sentences for the agent. */
  private async limitsMet(
    { id, folder, options }: GuardedCommand,
    result: ExecResult,
    before: GroupEvents | null,
  ): Promise<string[]> {
    const { limits, limiter } = this.deps;
    const after = limiter.events(id);
    this.counted.set(id, after);
    const met = [
      ...(options.maxBytes === undefined && result.reason === 'output-limit' ? [limitText.output(limits)] : []),
      ...this.countedByGroups(result, before, after),
      ...overLimits(limits, await this.usage.look(id, folder, { exactly: true })),
    ];
    if (met.length > 0) return met;
    const resource = resourceLimitHit(limits, result, limiter.kind === 'rlimit');
    return resource === undefined ? [] : [resource];
  }

  private countedByGroups(result: ExecResult, before: GroupEvents | null, after: GroupEvents | null): string[] {
    if (before === null || after === null) return [];
    const { limits } = this.deps;
    const killed = result.exitCode === 137 || result.killedBy === 'SIGKILL';
    return [
      ...(after.memoryKills > before.memoryKills
        ? [killed ? limitText.memory(limits) : limitText.memoryPart(limits)]
        : []),
      ...(after.forksRefused > before.forksRefused ? [limitText.forks(limits)] : []),
    ];
  }

  /** Deletes the oldest whole outputs until the rest is within its share of the disk. */
  private async dropOldest(output: string): Promise<void> {
    const names = await readdir(output).catch(() => []);
    const files = await Promise.all(
      names.map(async (name) => ({ path: join(output, name), ...(await stat(join(output, name))) })),
    );
    let room = this.deps.limits.diskMb * MIB * OUTPUT_SHARE;
    for (const { path, size } of files.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
      room -= size;
      if (room < 0) await rm(path, { force: true });
    }
  }
}
