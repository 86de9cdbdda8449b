/** Keeps one child process running: starts it again with growing pauses when it dies. */
import { setTimeout as delay } from 'node:timers/promises';

export type Child = {
  readonly pid: number;
  /** Resolves, never rejects, with how it ended. */
  readonly exited: Promise<string>;
  /** Ends it and resolves when it has ended; `force` at once. */
  stop(force: boolean): Promise<void>;
  /** Ends it at once without waiting: for the last moment of our own process. */
  kill(): void;
};

export type SuperviseEvent =
  | { kind: 'ended'; name: string; how: string; restartMs: number }
  | { kind: 'restarted'; name: string; pid: number };

export type Supervised = {
  readonly pid: number | undefined;
  stop(force: boolean): Promise<void>;
  kill(): void;
  /** Resolves when it was given up: so many starts in a row failed. Never otherwise. */
  readonly givenUp: Promise<Error>;
};

export type SuperviseOptions = {
  name: string;
  start: () => Promise<Child>;
  onEvent: (event: SuperviseEvent) => void;
  /** First pause; doubled up to the longest, and back to the first once a child has lived `steadyMs`. */
  firstPauseMs?: number;
  longestPauseMs?: number;
  steadyMs?: number;
  /** Deaths and failed starts in a row after which it is given up. */
  maxFailures?: number;
};

/** Starts the child (an error of the first start is thrown) and keeps it running until `stop`. */
export async function supervise(options: SuperviseOptions): Promise<Supervised> {
  const { name, start, onEvent } = options;
  const { firstPauseMs = 250, longestPauseMs = 10_000, steadyMs = 20_000, maxFailures = 12 } = options;
  const stopping = new AbortController();
  const givenUp = Promise.withResolvers<Error>();
  let child: Child | null = await start();
  let startedAt = Date.now();

  const keep = async (): Promise<void> => {
    let failures = 0;
    let how = '';
    for (;;) {
      if (child !== null) {
        how = await child.exited;
        child = null;
        if (Date.now() - startedAt >= steadyMs) failures = 0;
      }
      if (stopping.signal.aborted) return;
      if (failures >= maxFailures) {
        givenUp.resolve(new Error(`The ${name} ended ${failures + 1} times in a row; the last time: ${how}`));
        return;
      }
      const restartMs = Math.min(longestPauseMs, firstPauseMs * 2 ** failures);
      failures += 1;
      onEvent({ kind: 'ended', name, how, restartMs });
      await delay(restartMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      try {
        const started = await start();
        startedAt = Date.now();
        child = started;
        if (stopping.signal.aborted) await started.stop(true);
        else onEvent({ kind: 'restarted', name, pid: started.pid });
      } catch (error) {
        how = `starting it failed: ${(error as Error).message}`;
      }
    }
  };
  const running = keep();

  return {
    get pid() {
      return child?.pid;
    },
    async stop(force) {
      stopping.abort();
      await child?.stop(force);
      await running;
    },
    kill() {
      stopping.abort();
      child?.kill();
    },
    givenUp: givenUp.promise,
  };
}
