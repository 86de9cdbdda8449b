/** Ctrl-C and its kin: the first asks to stop, the second stops at once. */
import { EXIT } from './errors.ts';

export type Interrupts = {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** Run synchronously when the process must end at once. */
  onForce(action: () => void): void;
  dispose(): void;
};

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Listens until disposed. `onFirst` is told of the first signal; a second ends the process at once, with 130.
 * A doubled signal within `sameMs` counts once: a terminal sends it to the group, and a parent passes it on.
 */
export function listenForInterrupts(onFirst: () => void, sameMs = 150): Interrupts {
  const controller = new AbortController();
  const forced: (() => void)[] = [];
  let firstAt = 0;
  const listener = (): void => {
    if (!controller.signal.aborted) {
      firstAt = Date.now();
      controller.abort();
      onFirst();
    } else if (Date.now() - firstAt > sameMs) {
      process.exit(EXIT.detached);
    }
  };
  const atExit = (): void => {
    for (const action of forced) action();
  };
  for (const name of SIGNALS) process.on(name, listener);
  process.on('exit', atExit);
  return {
    signal: controller.signal,
    onForce: (action) => void forced.push(action),
    dispose() {
      for (const name of SIGNALS) process.off(name, listener);
      process.off('exit', atExit);
    },
  };
}
