/** Shows a run that goes on: a block that renews itself in a terminal, plain lines elsewhere. */
import type { RunSnapshot } from '../shared/contracts/snapshot.ts';
import { eventLines, progressLines, summaryLine } from './progress.ts';

/** Where it is shown. A terminal's `columns` may change while it goes on. */
export type Screen = { write(text: string): unknown; isTTY?: boolean; columns?: number };

export type LiveView = {
  update(snapshot: RunSnapshot): void;
  /** A line of its own, above the block. */
  say(line: string): void;
  /** Takes the block away; what is said later are plain lines. */
  close(): void;
};

/** `quietMs`: elsewhere than in a terminal, the figures are repeated after so long without an event. */
export function createLiveView(screen: Screen, { now = Date.now, quietMs = 30_000 } = {}): LiveView {
  let last: RunSnapshot | null = null;
  let block: string[] = [];
  let spokenAt = now();
  let closed = false;

  const render = (rows: readonly string[], next: string[]): void => {
    // To the first column: the terminal may have echoed a ^C after the block.
    const erase = block.length === 0 ? '' : `\r\u001B[${block.length}A\u001B[0J`;
    screen.write(`${erase}${[...rows, ...next].map((line) => `${line}\n`).join('')}`);
    block = next;
  };

  const print = (rows: readonly string[]): void => {
    if (rows.length === 0) return;
    spokenAt = now();
    screen.write(rows.map((line) => `${line}\n`).join(''));
  };

  return {
    update(snapshot) {
      if (closed) return;
      const events = eventLines(last, snapshot);
      last = snapshot;
      if (screen.isTTY === true) {
        render(events, progressLines(snapshot, { now: now(), width: Math.max(20, (screen.columns ?? 80) - 1) }));
        return;
      }
      print(events);
      if (now() - spokenAt >= quietMs) print([summaryLine(snapshot, now())]);
    },
    say(line) {
      if (screen.isTTY === true && !closed) render([line], block);
      else print([line]);
    },
    close() {
      if (!closed && screen.isTTY === true) render([], []);
      closed = true;
    },
  };
}
