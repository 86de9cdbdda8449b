/**
 * What a gate knows of its branch and of those who wait for it: its checks, its landings and the queue look at the same.
 * What is merged, looked at or landed is so one at a time.
 */
import type { BranchHealth, GateFindings } from '../../shared/contracts/gate.ts';
import type { MergeOutcome, MergeQueueInput, MergeRequest } from '../../shared/contracts/merge.ts';
import { Gate, newGate } from '../../shared/merge-queue/gate.ts';
import { MERGE_TEXT } from '../../shared/merge-queue/text.ts';
import { Semaphore } from '../../shared/base/semaphore.ts';
import { ComposedLines } from './composed-lines.ts';
import type { MergeQueueState } from './state.ts';
import { type GateEffects, GateVerdicts } from './verdicts.ts';

/** One check is of at most so many. */
const MAX_LINE = 50;

export class GatedBranch {
  readonly at: { repo: MergeQueueInput['repo']; target: string };
  readonly gate: Gate;
  readonly lines: ComposedLines;
  readonly queue: MergeQueueState;
  readonly effects: GateEffects;
  readonly verdicts: GateVerdicts;
  /** What the checks said of the tip alone. */
  tipReport: string | undefined;
  /** Merging and landing wait for each other. */
  private readonly lane = new Semaphore(1);

  constructor({ input, queue, effects }: { input: MergeQueueInput; queue: MergeQueueState; effects: GateEffects }) {
    const found = input.state?.gate;
    this.at = { repo: input.repo, target: input.target };
    this.queue = queue;
    this.effects = effects;
    this.verdicts = new GateVerdicts(input.repo, effects);
    this.lines = new ComposedLines(found?.base);
    this.tipReport = found?.tipReport;
    this.gate = new Gate({ ...newGate(found?.tip), failed: found?.failed ?? [] }, { maxBatch: MAX_LINE });
  }

  get isRed(): boolean {
    return this.gate.seen.tip === 'red';
  }

  /** Why nothing but fixes lands, though nobody has frozen it. */
  get redBecause(): string | undefined {
    return this.isRed ? MERGE_TEXT.red(this.lines.base ?? '', this.tipReport ?? '') : undefined;
  }

  /** What is known and holds as long as the branch stays where it is; only when nothing is under way. */
  findings(): GateFindings | undefined {
    const { tip } = this.gate.seen;
    const failed = [...this.gate.seen.failed];
    const { base } = this.lines;
    if (base === undefined) return undefined;
    // What a red tip fails with is not carried: it is checked again.
    return {
      base,
      tip: tip === 'red' ? 'unknown' : tip,
      failed,
      ...(this.tipReport === undefined ? {} : { tipReport: this.tipReport }),
    };
  }

  /** A person says that a branch which failed by itself is worth another look. */
  doubtTip(): void {
    this.gate.doubtTip();
  }

  /** What a sweep has seen freezes the branch or thaws it, unless the gate has seen something newer pass. */
  hear(health: BranchHealth, now: number): void {
    switch (health.kind) {
      case 'unknown':
        this.queue.thaw('reconciler', health.by);
        return;
      case 'green':
        this.queue.thaw('reconciler');
        if (health.commit === this.lines.base) this.gate.trustTip();
        return;
      case 'red':
        if (this.gate.seen.tip === 'green' && this.lines.base !== undefined && health.commit !== this.lines.base) {
          this.effects.log.info('a sweep is older than what has landed since', { commit: health.commit });
          return;
        }
        this.queue.freeze({
          by: 'reconciler',
          reason: health.reason,
          since: now,
          ...(health.by === undefined ? {} : { chain: health.by }),
        });
    }
  }

  /** Looks whether somebody else has moved it, which may be what ends a freeze. */
  async look(): Promise<void> {
    await this.exclusively(async () => {
      const { base } = await this.effects.composeLine({ ...this.at, entries: [] });
      if (base === this.lines.base) return;
      this.moved();
      this.lines.base = base;
    });
  }

  /** Nothing that was merged or found out holds any more. */
  moved(): void {
    this.verdicts.forget();
    this.lines.moved();
    this.gate.moved();
  }

  requestsOf(line: readonly string[]): MergeRequest[] {
    return line.flatMap((id) => this.queue.requests.find((request) => request.id === id) ?? []);
  }

  settle(ids: readonly string[], outcome: MergeOutcome): void {
    this.queue.settle(ids.map((id) => ({ id, outcome })));
  }

  refused(line: readonly string[], outcome: MergeOutcome): void {
    this.settle(line, outcome);
    this.gate.refused(line);
  }

  /** Nobody waits for what cannot come. */
  giveUp(reason: string): void {
    const ids = this.queue.requests.map(({ id }) => id);
    this.refused(ids, { kind: 'refused', reason });
  }

  exclusively<T>(work: () => Promise<T>): Promise<T> {
    return this.lane.run(work);
  }
}
