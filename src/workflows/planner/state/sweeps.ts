/** What a run knows of its sweeps: the one that runs, the newest verdict, and when the next is due. Plain JSON. */
import type { Budget } from '../../../shared/contracts/budget.ts';
import type { Green } from '../../../shared/contracts/green.ts';
import type { SweepMemory, SweepResult, SweptMessage } from '../../../shared/contracts/sweep.ts';
import type { TaskSpec } from '../../../shared/contracts/task.ts';
import { newMemory } from '../../../shared/reconciler/judge.ts';
import { afterLostMs } from '../../../shared/reconciler/times.ts';
import { SWEEP_TEXT } from '../../../shared/reconciler/text.ts';
import { type Chain, sameChain } from '../../../shared/base/ids.ts';
import { RUN_TEXT } from '../../../shared/planner/text.ts';
import type { PlannerBudget } from './budget.ts';
import type { News } from './news.ts';
import type { RunStatus } from './run-status.ts';
import { newTask } from './task-record.ts';
import type { TaskTable } from './task-table.ts';

const REASON_CHARS = 1_000;

/** Its child, and how much work had landed when it began; `askedAt` in ms since the epoch. */
export type RunningSweep = { child: Chain; work: number; askedAt: number };

/** The newest verdict, and how much work had landed when its sweep began. */
export type LastSweep = Omit<Green, 'heals'> & { work: number };

export type CarriedSweeps = {
  memory: SweepMemory;
  last?: LastSweep;
  running?: RunningSweep;
  /** In ms since the epoch; 0 until the first is due. */
  dueAt: number;
  /** How many sweeps have found fixes. */
  rounds: number;
  /** How many sweeps in a row ended without a word. */
  lost: number;
};

export type SweepParts = { tasks: TaskTable; budget: PlannerBudget; news: News; status: RunStatus };

export class SweepRecord {
  private readonly parts: SweepParts;
  private readonly sweeps: CarriedSweeps;

  constructor(parts: SweepParts, carried: CarriedSweeps = { memory: newMemory(), dueAt: 0, rounds: 0, lost: 0 }) {
    this.parts = parts;
    this.sweeps = carried;
  }

  toJSON(): CarriedSweeps {
    return this.sweeps;
  }

  get seen(): Readonly<CarriedSweeps> {
    return this.sweeps;
  }

  /** The share of a sweep's search for fixes; null when too little is free, undefined where nothing is limited. */
  reserve(): Budget | null | undefined {
    return this.parts.budget.beginSweep();
  }

  started(child: Chain, work: number, now: number): void {
    this.sweeps.running = { child, work, askedAt: now };
  }

  /** The server is asked after the one that runs. */
  asked(now: number): void {
    if (this.sweeps.running !== undefined) this.sweeps.running.askedAt = now;
  }

  /** The first that work has landed for: the interval begins. */
  planFirst(now: number): void {
    if (this.sweeps.dueAt === 0) this.sweeps.dueAt = now + this.sweeps.memory.intervalMs;
  }

  /** The one that runs has said what it found; a message of any other is dropped. */
  heard({ sender, result }: SweptMessage, now: number): void {
    const { sweeps } = this;
    const { news, status } = this.parts;
    const { running } = sweeps;
    if (running === undefined || !sameChain(running.child, sender)) return;
    delete sweeps.running;
    sweeps.lost = 0;
    sweeps.memory = result.memory;
    sweeps.dueAt = now + result.memory.intervalMs;
    sweeps.last = verdictOf(result, running.work, now);
    this.parts.budget.sweepEnded(result.metrics);
    for (const warning of result.warnings) news.trouble(SWEEP_TEXT.noted(warning));
    if (status.closing !== undefined) return;
    for (const { error, tried } of result.escalated) news.trouble(SWEEP_TEXT.escalated(error, tried));
    if (result.fixes.length > 0) sweeps.rounds += 1;
    this.addFixes(result.fixes, now);
  }

  /** The one that runs has ended without a word. Returns whether it was this one. */
  endedSilently(child: Chain, reason: string, now: number): boolean {
    const { running } = this.sweeps;
    if (running === undefined || !sameChain(running.child, child)) return false;
    delete this.sweeps.running;
    this.failed(reason, running.work, now);
    return true;
  }

  /** One that could not be started, or ended without a word. @param work how much had landed when it began */
  failed(reason: string, work: number, now: number): void {
    const { sweeps } = this;
    this.parts.budget.sweepEnded('unknown');
    sweeps.lost += 1;
    sweeps.dueAt = now + afterLostMs(sweeps.lost, sweeps.memory.intervalMs);
    // Not about this work: another one may still say it.
    sweeps.last = { verdict: 'unknown', reason: reason.slice(0, REASON_CHARS), at: now, work: work - 1 };
  }

  /** Tasks that mend the branch: they start before all others. */
  private addFixes(specs: readonly TaskSpec[], now: number): void {
    for (const spec of specs) {
      this.parts.tasks.add(newTask(spec, now, { fix: true }));
      this.parts.news.event(RUN_TEXT.fixAdded(spec.id, spec.description));
    }
  }
}

/** One that the branch overtook each time says nothing; the one before it still does. */
function verdictOf({ verdict, commit, reason, inherited }: SweepResult, work: number, now: number): LastSweep {
  return {
    verdict: verdict === 'stale' ? 'unknown' : verdict,
    ...(commit === undefined ? {} : { commit }),
    ...(reason === undefined ? {} : { reason }),
    ...(inherited === undefined ? {} : { inherited }),
    at: now,
    work,
  };
}
