/** Commands in containers as Modal's command router has them: output is kept, and read from any offset. */
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';

export type Exit = { code: number } | { signal: number };

export class Exec {
  readonly exited: Promise<Exit>;
  private readonly child: ChildProcess;
  private readonly output: { data: Buffer[]; ended: boolean }[] = [
    { data: [], ended: false },
    { data: [], ended: false },
  ];
  private waiting: (() => void)[] = [];
  private stdinBytes = 0;
  private readonly timer: NodeJS.Timeout | undefined;

  constructor(child: ChildProcess, timeoutSecs: number | undefined) {
    this.child = child;
    [child.stdout, child.stderr].forEach((stream, fd) => {
      const kept = this.output[fd];
      if (stream == null || kept === undefined) throw new Error('a command needs both outputs');
      stream.on('data', (chunk: Buffer) => {
        kept.data.push(chunk);
        this.wake();
      });
      stream.once('close', () => {
        kept.ended = true;
        this.wake();
      });
    });
    child.stdin?.on('error', () => undefined);
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        clearTimeout(this.timer);
        resolve(code === null ? { signal: constants.signals[signal ?? 'SIGKILL'] } : { code });
      });
    });
    if (timeoutSecs !== undefined) this.timer = setTimeout(() => this.killGroup(), timeoutSecs * 1_000);
  }

  /** What came before is not taken again: a client that had no answer sends it twice. */
  async write(offset: number, data: Buffer, eof: boolean): Promise<void> {
    if (offset > this.stdinBytes) throw new Error(`offset ${offset}, but only ${this.stdinBytes} bytes have come`);
    const fresh = data.subarray(this.stdinBytes - offset);
    this.stdinBytes += fresh.length;
    const { stdin } = this.child;
    if (stdin === null || stdin.destroyed) return;
    if (fresh.length > 0) await new Promise<void>((resolve) => stdin.write(fresh, () => resolve()));
    if (eof) stdin.end();
  }

  /** Yields until the end of that output. */
  async *read(fd: number, offset: number): AsyncGenerator<Buffer> {
    const kept = this.output[fd];
    if (kept === undefined) throw new Error(`there is no output ${fd}`);
    for (let at = 0, skip = offset; ; ) {
      const chunk = kept.data[at];
      if (chunk === undefined) {
        if (kept.ended) return;
        await new Promise<void>((resolve) => this.waiting.push(resolve));
        continue;
      }
      at += 1;
      const rest = chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - rest.length;
      if (rest.length > 0) yield rest;
    }
  }

  kill(): void {
    this.killGroup();
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
  }

  /** What enters the container forks: both are in one group. */
  private killGroup(): void {
    if (this.child.pid === undefined || this.child.exitCode !== null) return;
    try {
      process.kill(-this.child.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  private wake(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const each of waiting) each();
  }
}
