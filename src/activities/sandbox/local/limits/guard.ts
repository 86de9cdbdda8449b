/** Runs one command of a sandbox within its limits, and says which of them it met. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SandboxLimits } from '../../../../shared/config.ts';
import type { Log } from '../../../log.ts';
import type { ExecResult, ProcessOptions, RunProcess } from '../../../process/run-process.ts';
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
  argv: readonly string[];
  options: ProcessOptions;
  wrap: Pick<WrapOptions, 'combine' | 'open'>;
};

export interface Guard {
  begin(id: string, folder: string): Promise<void>;
  run(command: GuardedCommand): Promise<SandboxResult>;
  forget(id: string): void;
}

export function createGuard(deps: {
  limits: SandboxLimits;
  limiter: Limiter;
  run: RunProcess;
  log: Log;
  bwrap?: string;
}): Guard {
  const { limits, limiter, run, log } = deps;
  const usage = createDiskUsage(deps);
  let commands = 0;

  async function runGuarded(command: GuardedCommand): Promise<SandboxResult> {
    const { id, folder, argv, options, wrap } = command;
    const stop = new AbortController();
    const { signal } = options;
    const pidFile = limiter.kind === 'rlimit' ? join(folder, 'records', `pid-${process.pid}-${++commands}`) : undefined;
    const ownLimit = options.maxBytes === undefined;
    const before = limiter.events(id);
    let stopped: string | undefined;
    const watch = startWatch({
      limits,
      look: () => usage.look(id, folder),
      ...(pidFile === undefined ? {} : { pidFile }),
      stop(why) {
        stopped = why;
        stop.abort();
      },
      onError: (error) => log.warn({ sandbox: id, error: String(error) }, 'a running command could not be watched'),
    });
    try {
      const wrapped = limiter.wrap(id, argv, { ...wrap, ...(pidFile === undefined ? {} : { pidFile }) });
      const result = await run(wrapped, {
        ...options,
        maxBytes: options.maxBytes ?? limits.outputMb * MIB,
        signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
      });
      watch.end();
      if (result.truncated && options.outputFile !== undefined) await dropOldest(join(folder, 'output'));
      if (stopped !== undefined && signal?.aborted !== true) return { ...result, limits: [stopped] };
      const met = [
        ...(ownLimit && result.reason === 'output-limit' ? [limitText.output(limits)] : []),
        ...countedByGroups(result, before, limiter.events(id)),
        ...overLimits(limits, await usage.look(id, folder, { exactly: true })),
      ];
      const resource = met.length > 0 ? undefined : resourceLimitHit(limits, result, limiter.kind === 'rlimit');
      const all = resource === undefined ? met : [resource];
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

  return { begin: usage.begin, run: runGuarded, forget: usage.forget };
}
