/** Commands in sandboxes on Modal: as whom they run, where, and within which limits; and our own scripts there. */
import type { Sandbox } from 'modal';
import type { SandboxLimits } from '../../../shared/config/worker-config.ts';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import type { ExecOptions, SandboxResult } from '../provider.ts';
import { type Command, runCommand } from './command.ts';
import { AGENT, CHECKPOINT, COUNTED, PATHS, REGISTRY, ROOT, USAGE } from './layout.ts';
import { withLimits } from './limits.ts';
import type { RunnerResult } from './runner.ts';

const HELPER_MS = 60_000;

const ENVIRONMENT = {
  HOME: PATHS.home,
  TMPDIR: PATHS.tmp,
  USER: 'agent',
  LOGNAME: 'agent',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
} as const;

export interface Executor {
  /** A command of the agent's, or a checkpoint's (`exec.git`). @throws what the SDK throws, RunnerError. */
  exec(id: string, sandboxId: string, argv: readonly string[], exec: ExecOptions): Promise<SandboxResult>;
  /** A script of ours, as root. @throws when it does not end with 0. */
  helper(
    id: string,
    sandboxId: string,
    script: string,
    more?: { args?: string[]; stdin?: string; timeoutMs?: number },
  ): Promise<void>;
  /** Ends what this process runs in a sandbox. */
  stop(id: string): void;
}

/** @param options.worker names this process, and no other that ever was. */
export function createExecutor(options: {
  handle: (sandboxId: string) => Promise<Sandbox>;
  limits: SandboxLimits;
  worker: string;
}): Executor {
  const { handle, limits, worker } = options;
  const running = new Map<string, Set<AbortController>>();

  async function run(
    id: string,
    sandboxId: string,
    command: Omit<Command, 'limits' | 'worker'>,
  ): Promise<RunnerResult> {
    const stop = new AbortController();
    const group = running.get(id) ?? new Set();
    running.set(id, group.add(stop));
    const signal = command.signal === undefined ? stop.signal : AbortSignal.any([command.signal, stop.signal]);
    try {
      return await runCommand(await handle(sandboxId), { ...command, signal, limits, worker });
    } finally {
      group.delete(stop);
      if (group.size === 0) running.delete(id);
    }
  }

  return {
    async exec(id, sandboxId, argv, exec) {
      const result = await run(id, sandboxId, commandOf(exec, argv));
      return withLimits(limits, result, { ownLimit: exec.maxBytes === undefined });
    },

    async helper(id, sandboxId, script, { args = [], stdin, timeoutMs = HELPER_MS } = {}) {
      const result = await run(id, sandboxId, {
        argv: ['/bin/sh', '-c', script, 'sh', ...args],
        cwd: '/',
        env: { LC_ALL: 'C' },
        identity: ROOT,
        registry: undefined,
        timeoutMs,
        ...(stdin === undefined ? {} : { stdin }),
      });
      if (result.reason === 'exit' && result.exitCode === 0) return;
      throw new Error(`it ended by ${result.reason} with ${result.exitCode}: ${result.stderr.trim().slice(-1_000)}`);
    },

    stop(id) {
      for (const stop of running.get(id) ?? []) stop.abort();
    },
  };
}

const commandOf = (exec: ExecOptions, argv: readonly string[]): Omit<Command, 'limits' | 'worker'> => ({
  argv,
  cwd: exec.cwd ?? PATHS.workspace,
  env: { ...ENVIRONMENT, ...exec.env },
  identity: exec.git === true ? CHECKPOINT : AGENT,
  registry: REGISTRY,
  disk: { folders: COUNTED, known: USAGE },
  timeoutMs: exec.timeoutMs,
  ...(exec.stdin === undefined ? {} : { stdin: exec.stdin }),
  ...(exec.signal === undefined ? {} : { signal: exec.signal }),
  ...(exec.combine === undefined ? {} : { combine: exec.combine }),
  ...(exec.headBytes === undefined ? {} : { headBytes: exec.headBytes }),
  ...(exec.tailBytes === undefined ? {} : { tailBytes: exec.tailBytes }),
  ...(exec.maxBytes === undefined ? {} : { maxBytes: exec.maxBytes }),
  ...(exec.outputFile === undefined ? {} : { outputFile: outputPath(exec.outputFile) }),
});

/** Names come from callers of ours; a path would write elsewhere, as root. */
export function outputPath(name: string): string {
  if (/^[\w.-]{1,200}$/.test(name) && !/^\.\.?$/.test(name)) return `${PATHS.output}/${name}`;
  throw terminal(FailureType.Invariant, `"${name}" is no name of an output file`);
}
