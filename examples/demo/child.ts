/** Processes that the demo waits for; what ends the demo ends them. */
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export type Children = {
  /** The first signal that the demo was sent. */
  readonly interrupted: NodeJS.Signals | null;
  /** Runs a command to its end and gives its exit code, 128 + n where a signal ended it, and what it printed. */
  run(command: string, args: readonly string[], options: SpawnOptions): Promise<{ code: number; output: string }>;
};

/**
 * Passes signals on to the children that run. Ctrl-C in a terminal reaches the whole group by itself, so it is
 * passed on only where there is none.
 */
export function superviseChildren(): Children {
  const current = new Set<ChildProcess>();
  let interrupted: NodeJS.Signals | null = null;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      interrupted ??= signal;
      if (signal !== 'SIGINT' || process.stdin.isTTY !== true) for (const child of current) child.kill(signal);
    });
  }
  return {
    get interrupted() {
      return interrupted;
    },
    run(command, args, options) {
      if (interrupted !== null) return Promise.resolve({ code: 128 + constants.signals[interrupted], output: '' });
      return new Promise((resolve, reject) => {
        const chunks: Buffer[] = [];
        const child = spawn(command, args, options);
        current.add(child);
        for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
        child.once('error', reject);
        child.once('close', (code, signal) => {
          current.delete(child);
          const output = Buffer.concat(chunks).toString('utf8');
          resolve({ code: code ?? 128 + (signal === null ? 0 : constants.signals[signal]), output });
        });
      });
    },
  };
}
