/** What a run knows of its workflows that cannot go on: those that are open, and those that it has ended. Plain JSON. */
import type { SeenStuck } from '../../../shared/contracts/stuck.ts';
import { isAtOrBelow } from '../../../shared/planner/stuck.ts';
import { RUN_TEXT } from '../../../shared/planner/text.ts';
import type { TaskRecord } from './task-record.ts';

/** The newest ones. */
const MAX_ENDED = 50;

/** `lookedAt`: when the server was asked last, in ms since the epoch. */
export type CarriedStuck = { seen: SeenStuck[]; ended: SeenStuck[]; lookedAt: number };

export class StuckRecord {
  private readonly carried: CarriedStuck;

  constructor(carried: CarriedStuck = { seen: [], ended: [], lookedAt: 0 }) {
    this.carried = carried;
  }

  /** undefined: nothing is known. */
  toJSON(): CarriedStuck | undefined {
    return this.carried.lookedAt === 0 ? undefined : this.carried;
  }

  get seen(): readonly SeenStuck[] {
    return this.carried.seen;
  }

  get lookedAt(): number {
    return this.carried.lookedAt;
  }

  looked(now: number): void {
    this.carried.lookedAt = now;
  }

  /** All that cannot go on now. @returns those that can again, or have ended. */
  saw(now: SeenStuck[]): SeenStuck[] {
    const over = this.carried.seen.filter(({ runId }) => !now.some((each) => each.runId === runId));
    this.carried.seen = now;
    return over;
  }

  /** These are being ended: known before it is heard, as what waits for them tells of that at once. */
  ends(stuck: readonly SeenStuck[]): void {
    this.carried.ended = [...this.carried.ended, ...stuck].slice(-MAX_ENDED);
  }

  /** They have ended. */
  ended(stuck: readonly SeenStuck[]): void {
    this.carried.seen = this.carried.seen.filter((each) => !stuck.includes(each));
  }

  /** Why a task's workflow, or its agent's, was ended; undefined where it was not for this. */
  whyEnded({ attempt: { child, lent } }: Pick<TaskRecord, 'attempt'>): string | undefined {
    if (child === undefined) return undefined;
    // What is below a division is of other tasks.
    const isIts = ({ workflowId: id }: { workflowId: string }): boolean =>
      lent === undefined ? isAtOrBelow(id, child.workflowId) : id === child.workflowId;
    const ended = this.carried.ended.findLast(isIts);
    return ended === undefined ? undefined : RUN_TEXT.stuckEnded(ended);
  }
}
