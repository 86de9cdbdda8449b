/**
 * Tells runs that calls of theirs wait for a model, so that their snapshots show it: one signal when a wait has
 * lasted for `toldAfterMs`, one when nobody has waited for 10 s, and one every five minutes between.
 */
import { MODEL_WAIT_EVERY_MS, type ModelWait } from '../../shared/contracts/model-wait.ts';
import type { Chain } from '../../shared/base/ids.ts';
import type { Log } from '../support/log.ts';
import { type Clock, systemClock } from './router/router.ts';

const OVER_AFTER_MS = 10_000;
const LOOK_EVERY_MS = 5_000;

/** One call. */
export type Wait = {
  /** It has no model to ask; `since` in ms since the epoch. */
  waits(since: number, why: string): void;
  /** It has one, or has ended. May be called again. */
  over(): void;
};

export interface WaitNews {
  /** Of the run with this root planner. */
  of(run: Chain): Wait;
  /** Says what is over, as nobody will afterwards. */
  stop(): Promise<void>;
}

type Waiting = { since: number; why: string };
type Run = { root: Chain; waits: Map<symbol, Waiting>; toldAt: number | undefined; quietSince: number | undefined };

export type WaitNewsOptions = {
  worker: string;
  /** Signals the root; what it throws is logged, and tried again. */
  tell: (root: Chain, news: ModelWait) => Promise<void>;
  toldAfterMs: number;
  log: Log;
  clock?: Clock;
};

export const createWaitNews = (options: WaitNewsOptions): WaitNews => new RunsThatWait(options);

class RunsThatWait implements WaitNews {
  private readonly options: WaitNewsOptions;
  private readonly clock: Clock;
  private readonly runs = new Map<string, Run>();
  private cancelLook: (() => void) | undefined;
  private stopped = false;

  constructor(options: WaitNewsOptions) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
  }

  of(root: Chain): ReturnType<WaitNews['of']> {
    const { runs } = this;
    const id = Symbol(root.workflowId);
    const key = JSON.stringify(root);
    return {
      waits: (since, why) => {
        const run = runs.get(key) ?? { root, waits: new Map(), toldAt: undefined, quietSince: undefined };
        runs.set(key, run);
        run.waits.set(id, { since, why });
        this.lookLater();
      },
      over: () => void runs.get(key)?.waits.delete(id),
    };
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelLook?.();
    const known = [...this.runs.values()].filter(({ toldAt }) => toldAt !== undefined);
    await Promise.all(known.map((run) => this.say(run, undefined)));
  }

  private async say(run: Run, waiting: ModelWait['waiting']): Promise<void> {
    const { worker, tell, log } = this.options;
    const at = this.clock.now();
    run.toldAt = waiting === undefined ? undefined : at;
    try {
      await tell(run.root, { worker, at, ...(waiting === undefined ? {} : { waiting }) });
    } catch (error) {
      log.warn({ run: run.root.workflowId, err: error }, 'a run could not be told that its calls wait for a model');
      // The end of a wait that could not be told is found out by its age.
      if (waiting !== undefined) run.toldAt = undefined;
    }
  }

  private async look(): Promise<void> {
    const now = this.clock.now();
    const news: Promise<void>[] = [];
    for (const [key, run] of this.runs) {
      const waits = [...run.waits.values()].toSorted((a, b) => a.since - b.since);
      const [longest] = waits;
      if (longest === undefined) {
        run.quietSince ??= now;
        if (run.toldAt === undefined) this.runs.delete(key);
        else if (now - run.quietSince >= OVER_AFTER_MS) {
          this.runs.delete(key);
          news.push(this.say(run, undefined));
        }
        continue;
      }
      run.quietSince = undefined;
      const due =
        run.toldAt === undefined
          ? now - longest.since >= this.options.toldAfterMs
          : now - run.toldAt >= MODEL_WAIT_EVERY_MS;
      const { since, why } = longest;
      if (due) news.push(this.say(run, { since, calls: waits.length, why: why.slice(0, 1_000) }));
    }
    await Promise.all(news);
  }

  private lookLater(): void {
    if (this.stopped || this.cancelLook !== undefined || this.runs.size === 0) return;
    this.cancelLook = this.clock.after(Math.min(LOOK_EVERY_MS, this.options.toldAfterMs), () => {
      void this.look().finally(() => {
        this.cancelLook = undefined;
        this.lookLater();
      });
    });
  }
}
