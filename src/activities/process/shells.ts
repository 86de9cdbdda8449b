/**
 * Shells that are kept between commands. A command in a fresh bubblewrap costs three process starts and a set of
 * namespaces (some 9 ms of CPU); in a shell that is there already, a fork and the command's own start. A shell
 * runs one command at a time and is given its text on standard input:
 *
 *   tell BEGUN; (cd DIR && exec COMMAND) </dev/null ...; kill all that is left; print MARK on both outputs; tell the status
 *
 * The mark is new for each command and ends its output: the status comes on a descriptor of its own when nothing
 * but the shell is left, so what is before the mark is whole. A command that ends its shell ends as the shell did.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { constants } from 'node:os';
import type { Socket } from 'node:net';
import { MarkedStream } from './marked-stream.ts';
import { OutputCollector } from './output.ts';
import { type ExecReason, type ExecResult, limitsOf, type ProcessCommand, type ProcessOptions } from './run-process.ts';

/** A shell that waits for commands; plain data. The same object is the same shell. */
export type ShellSpec = {
  /** Shells of one owner end together. */
  owner: string;
  /** Starts a POSIX shell with `-s`, alone in a pid namespace but for the namespace's init. */
  argv: readonly string[];
  /** Of what starts it. */
  cwd: string;
  env: Readonly<Record<string, string>>;
  /** Nobody else's code runs in it: there is nothing to clean up after a command. */
  own: boolean;
};
export type ShellCommand = Omit<ProcessCommand, 'termGraceMs'> & {
  /** As seen by the shell; default: where it is. */
  cwd?: string;
  /** Beyond the shell's own. */
  env: Readonly<Record<string, string>>;
  /** Standard error into standard output. */
  combine: boolean;
};

/** Half of what Linux takes in one argument. */
const MAX_TEXT = 64 * 1024;

/**
 * Whether a shell can be given a command. A shell does not take every name of a variable, and where a text is too long,
 * execve is to refuse the command.
 */
export function canRunInShell(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  stdin: Buffer | string = '',
): boolean {
  const texts = [...argv, ...Object.values(env), stdin];
  return (
    Object.keys(env).every((name) => /^[A-Za-z_]\w*$/.test(name)) &&
    texts.every((text) => !text.includes('\0')) &&
    texts.reduce((sum, text) => sum + text.length, 0) <= MAX_TEXT
  );
}

export interface Shells {
  /** Resolves with null when that shell is busy, cannot be started or has ended: nothing was run then. */
  run(
    spec: ShellSpec,
    argv: readonly string[],
    command: ShellCommand & Pick<ProcessOptions, 'signal'>,
  ): Promise<ExecResult | null>;
  /** Ends an owner's shells; resolves when their processes are gone. */
  end(owner: string): Promise<void>;
}

/** A shell that is not used for so long ends: it is some 1 MB. */
const IDLE_MS = 60_000;
/** The one that has waited longest ends when there are more. */
const MOST_SHELLS = 256;

export function createShells(): Shells {
  /** In order of use. */
  const shells = new Map<ShellSpec, Shell>();
  return {
    run(spec, argv, command) {
      const found = shells.get(spec);
      if (found?.busy === true) return Promise.resolve(null);
      const shell = found ?? new Shell(spec, () => shells.get(spec) === shell && shells.delete(spec));
      shells.delete(spec);
      shells.set(spec, shell);
      if (shells.size > MOST_SHELLS) [...shells.values()].find((each) => !each.busy)?.kill();
      return shell.run(argv, command);
    },
    async end(owner) {
      const ended = [...shells.values()].filter((shell) => shell.spec.owner === owner);
      for (const shell of ended) shell.kill();
      await Promise.all(ended.map((shell) => shell.closed));
    },
  };
}

type Running = {
  combine: boolean;
  out: MarkedStream;
  err: MarkedStream;
  status?: number;
  reason?: ExecReason;
  failure?: unknown;
  begun: boolean;
  finish: (ended: { code: number | null; signal: NodeJS.Signals | null }) => void;
};

class Shell {
  readonly spec: ShellSpec;
  readonly closed: Promise<void>;
  private readonly child: ChildProcess;
  private readonly onGone: () => void;
  private running: Running | undefined;
  private idle: NodeJS.Timeout | undefined;
  /** Of the status pipe, the text after its last complete line. */
  private statusText = '';
  private dead = false;

  constructor(spec: ShellSpec, onGone: () => void) {
    this.spec = spec;
    this.onGone = onGone;
    const [command = '', ...args] = spec.argv;
    this.child = spawn(command, args, {
      cwd: spec.cwd,
      env: spec.env,
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe', 'ignore', 'pipe'],
    });
    const { child } = this;
    // A command that is not begun is run otherwise, and meets the same error there.
    child.on('error', () => undefined);
    // What it could not be told shows by its end.
    child.stdin?.on('error', () => undefined);
    child.stdin?.write(OPENING);
    child.stdout?.on('data', (chunk: Buffer) => this.take('out', chunk));
    child.stderr?.on('data', (chunk: Buffer) => this.take('err', chunk));
    this.statusPipe?.on('data', (chunk: Buffer) => this.takeStatus(chunk));
    this.statusPipe?.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      child.once('exit', () => {
        this.gone();
        // What it left in its group; the kernel has seen to its namespace.
        this.signal();
      });
      child.once('close', (code, signal) => {
        this.gone();
        this.running?.finish({ code, signal });
        resolve();
      });
    });
  }

  get busy(): boolean {
    return this.running !== undefined;
  }

  run(argv: readonly string[], command: ShellCommand & Pick<ProcessOptions, 'signal'>): Promise<ExecResult | null> {
    clearTimeout(this.idle);
    this.hold(true);
    const limits = limitsOf(command);
    // Unguessable too, and made ahead by Node: randomBytes takes 16 µs.
    const mark = Buffer.from(randomUUID());
    return new Promise((resolve, reject) => {
      const end = (why: ExecReason): void => {
        if (running.reason !== undefined) return;
        running.reason = why;
        this.kill();
      };
      const onAbort = (): void => end('aborted');
      const timer = setTimeout(() => end('timeout'), limits.timeoutMs);
      const running: Running = {
        combine: command.combine,
        begun: false,
        out: new MarkedStream(mark, new OutputCollector(limits.out), (bytes) => {
          if (bytes > limits.maxBytes) end('output-limit');
        }),
        err: new MarkedStream(mark, new OutputCollector(limits.err)),
        finish: ({ code, signal }) => {
          clearTimeout(timer);
          command.signal?.removeEventListener('abort', onAbort);
          this.running = undefined;
          const { head, tail, truncated } = running.out.end();
          const { head: errHead, tail: errTail, truncated: errCut } = running.err.end();
          if (!running.begun && running.reason === undefined) {
            resolve(null);
            return;
          }
          if (running.failure !== undefined) {
            reject(running.failure instanceof Error ? running.failure : new Error(String(running.failure)));
            return;
          }
          const killed = running.status === undefined && signal !== null ? { killedBy: signal } : {};
          resolve({
            stdout: head,
            tail,
            bytes: running.out.bytes,
            truncated,
            stderr: (errCut ? errTail : errHead).toString('utf8'),
            ...killed,
            exitCode: running.status ?? code ?? 128 + (signal === null ? 0 : constants.signals[signal]),
            reason: running.reason ?? 'exit',
          });
        },
      };
      this.running = running;
      if (command.signal?.aborted === true) onAbort();
      else command.signal?.addEventListener('abort', onAbort, { once: true });
      this.child.stdin?.write(scriptOf(this.spec, argv, command, mark));
    });
  }

  kill(): void {
    this.gone();
    this.signal();
  }

  private take(which: 'out' | 'err', chunk: Buffer): void {
    const { running } = this;
    // Between commands nothing is there to write.
    if (running === undefined) return;
    try {
      running[which].push(chunk);
    } catch (error) {
      // The host's disk is full or the folder is gone: the command's result would be a lie.
      running.failure ??= error;
      this.kill();
    }
    this.check(running);
  }

  private takeStatus(chunk: Buffer): void {
    this.statusText += chunk.toString('latin1');
    const statusLines = this.statusText.split('\n');
    this.statusText = statusLines.pop() ?? '';
    for (const line of statusLines) {
      if (this.running === undefined) return;
      if (line === BEGUN) this.running.begun = true;
      else this.running.status = Number(line);
    }
    if (this.running !== undefined) this.check(this.running);
  }

  private check(running: Running): void {
    if (running.status === undefined || !running.out.marked || !(running.combine || running.err.marked)) return;
    // Once it is to be killed, its end is awaited.
    if (running.reason !== undefined || running.failure !== undefined) return;
    this.idle = setTimeout(() => this.kill(), IDLE_MS).unref();
    this.hold(false);
    running.finish({ code: null, signal: null });
  }

  /** Not to be used any more. */
  private gone(): void {
    if (this.dead) return;
    this.dead = true;
    clearTimeout(this.idle);
    this.hold(true);
    this.onGone();
  }

  private signal(): void {
    if (this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  private get statusPipe(): Socket | undefined {
    return (this.child.stdio[4] ?? undefined) as Socket | undefined;
  }

  /** An idle shell does not keep this process alive. */
  private hold(alive: boolean): void {
    const { child, statusPipe } = this;
    const handles = [child, child.stdin, child.stdout, child.stderr, statusPipe] as ({
      ref(): void;
      unref(): void;
    } | null)[];
    for (const handle of handles) {
      if (alive) handle?.ref();
      else handle?.unref();
    }
  }
}

/** What a shell tells when it has begun a command. */
const BEGUN = 'begun';
/**
 * A shell that is not among the first of a pid namespace is in none of its own: what CLEAN kills there would be the
 * host's. Standard error is on 6 meanwhile: the shell's own words ("Killed") are nobody's.
 */
const OPENING = '[ $$ -lt 10 ] || exit 1; exec 6>&2 2>/dev/null\n';
/** What the shell's namespaces would keep: processes; files in memory. */
const CLEAN = `n=0; while kill -9 -1; do n=$((n+1)); [ $n -lt 2000 ] || { n=0; /bin/sleep 0.01; }; done
for f in /dev/shm/* /dev/shm/.[!.]* /dev/shm/..?*; do [ ! -e "$f" ] && [ ! -L "$f" ] || { /bin/rm -rf -- /dev/shm/* /dev/shm/.[!.]* /dev/shm/..?*; break; }; done`;

/** One command, and what the shell says and does before and after it. */
function scriptOf(
  { own }: Pick<ShellSpec, 'own'>,
  argv: readonly string[],
  command: Pick<ShellCommand, 'cwd' | 'env' | 'combine' | 'stdin'>,
  mark: Buffer,
): Buffer {
  const { stdin, combine } = command;
  const run = `${running(argv, command)}${stdin === undefined ? ' </dev/null' : ''}`;
  const after = `; s=$?\n${own ? '' : CLEAN}\n${combine ? '' : `printf ${mark} >&6; `}printf ${mark}; echo $s >&4\n`;
  if (stdin === undefined) return Buffer.from(`echo ${BEGUN} >&4\n${run}${after}`);
  // Bytes that are no text pass as they are.
  const input = Buffer.from(quoted(Buffer.from(stdin).toString('latin1')), 'latin1');
  return Buffer.concat([Buffer.from(`echo ${BEGUN} >&4\nprintf %s `), input, Buffer.from(` | ${run}${after}`)]);
}

/** In a fork of the shell. A script for /bin/sh is the host's own, whoever's the data: it needs no other program. */
function running(
  argv: readonly string[],
  { cwd, env, combine }: Pick<ShellCommand, 'cwd' | 'env' | 'combine'>,
): string {
  const [program = '', flag, script = '', name = '', ...args] = argv;
  const before = [
    ...Object.entries(env).map(([key, value]) => `export ${key}=${quoted(value)};`),
    ...(cwd === undefined ? [] : [`cd ${quoted(cwd)} &&`]),
  ];
  const body =
    program === '/bin/sh' && flag === '-c' && name === 'sh'
      ? `set -- ${args.map(quoted).join(' ')}; eval ${quoted(script)}`
      : `exec ${argv.map(quoted).join(' ')}`;
  return `(${before.join(' ')} ${body}) ${combine ? '2>&1' : '2>&6'} 3<&- 4>&- 6>&-`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
