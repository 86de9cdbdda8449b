/** Runs commands to their end and counts what they and all that they have started use. Linux. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { tail } from '../../infra/lib/run.mjs';
import { machineCpuSeconds } from '../overhead/processes.ts';
import { makeControlGroup } from './control-group.ts';

export type Command = { argv: readonly string[]; cwd: string; env: NodeJS.ProcessEnv };

/** `othersCpuSeconds`: what the rest of the machine used meanwhile; null where the two cannot be told apart. */
export type Ended = {
  code: number | null;
  stdout: string;
  /** The end of both outputs, for a message. */
  end: string;
  wallSeconds: number;
  cpuSeconds: number;
  othersCpuSeconds: number | null;
  /** How many processes the command had left running. They are killed. */
  leftRunning: number;
};

export type Runner = {
  /** Why the CPU is that of the whole machine; null where it is that of the command and all that it starts. */
  readonly wholeMachine: string | null;
  run(command: Command): Promise<Ended>;
  close(): Promise<void>;
};

const KEPT_CHARACTERS = 65_536;
const OUTPUT_MS = 5_000;

/**
 * @param options `mark` stands in the environment of every command, and nowhere else; `signal` ends what runs
 * @param make null where control groups are not to be used
 */
export function createRunner(
  { mark, signal }: { mark: string; signal: AbortSignal },
  make: typeof makeControlGroup | null = makeControlGroup,
): Runner {
  const made = make === null ? { why: 'control groups are not used' } : make();
  const group = 'why' in made ? null : made;
  const cpu = group === null ? machineCpuSeconds : () => group.cpuSeconds();
  const killAll = group === null ? () => killMarked(mark) : () => group.kill();
  return {
    wholeMachine: 'why' in made ? made.why : null,
    async run({ argv, cwd, env }) {
      signal.throwIfAborted();
      const before = { cpu: cpu(), machine: machineCpuSeconds(), at: performance.now() };
      const process = start({ argv: group === null ? argv : group.enter(argv), cwd, env });
      signal.addEventListener('abort', process.kill, { once: true });
      try {
        const code = await process.ended;
        const wallSeconds = (performance.now() - before.at) / 1_000;
        const leftRunning = await killAll();
        const cpuSeconds = cpu() - before.cpu;
        const all = machineCpuSeconds() - before.machine;
        const othersCpuSeconds = group === null ? null : Math.max(0, all - cpuSeconds);
        const { stdout, both } = await process.output();
        signal.throwIfAborted();
        return { code, stdout, end: tail(both), wallSeconds, cpuSeconds, othersCpuSeconds, leftRunning };
      } finally {
        signal.removeEventListener('abort', process.kill);
        await killAll();
      }
    },
    async close() {
      await killAll();
      await group?.remove();
    },
  };
}

function start({ argv, cwd, env }: Command) {
  const [file = '', ...args] = argv;
  // A group of its own: a terminal's Ctrl-C reaches this process only, which ends the command and cleans up.
  const child = spawn(file, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const output = { stdout: '', both: '' };
  const keep = (text: string) => (output.both = (output.both + text).slice(-KEPT_CHARACTERS));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
    keep(text);
  });
  child.stderr.setEncoding('utf8').on('data', keep);
  const closed = once(child, 'close');
  closed.catch(() => undefined); // that it could not be started is said by `ended`
  return {
    /** Its exit code; null where a signal has ended it. */
    ended: once(child, 'exit').then(([code]: unknown[]) => code as number | null),
    kill: () => (child.pid === undefined ? undefined : killOne(-child.pid)),
    /** All that it has written. Processes that it has left running are to be killed before: they hold its outputs open. */
    async output() {
      await Promise.race([closed, sleep(OUTPUT_MS, undefined, { ref: false })]);
      return output;
    },
  };
}

/** Kills every process that has the mark in its environment; returns how many there were. */
async function killMarked(mark: string): Promise<number> {
  let count = 0;
  // A process may start another one while we look.
  for (let found = marked(mark); found.length > 0; found = marked(mark)) {
    count += found.length;
    for (const pid of found) killOne(pid);
    await sleep(20);
  }
  return count;
}

function marked(mark: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark) ? [Number(pid)] : [];
      } catch {
        return []; // it has ended, or is another user's
      }
    });
}

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
