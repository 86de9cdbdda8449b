/** Drives the gate of a merge queue: begins what it decides (check, cancel, land, eject) when it is time to. */
import type { BranchHealth, GateFindings } from '../../shared/contracts/gate.ts';
import type { MergeQueueInput } from '../../shared/contracts/merge.ts';
import type { Decision } from '../../shared/merge-queue/gate.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { MERGE_TEXT } from '../../shared/merge-queue/text.ts';
import { GatedBranch } from './gated-branch.ts';
import { LineChecks } from './line-checks.ts';
import { LineLandings } from './line-landings.ts';
import type { MergeQueueState } from './state.ts';
import type { GateEffects } from './verdicts.ts';

export class GateKeeper {
  /** Set while the queue is about to continue as new: nothing more begins. */
  draining = false;
  private readonly branch: GatedBranch;
  private readonly checks: LineChecks;
  private readonly landings: LineLandings;

  constructor(options: {
    input: MergeQueueInput;
    queue: MergeQueueState;
    effects: GateEffects;
    /** Something came of what was begun: it is time for the next step. */
    onNews: () => void;
  }) {
    const { onNews } = options;
    this.branch = new GatedBranch(options);
    this.checks = new LineChecks(this.branch, onNews);
    this.landings = new LineLandings(this.branch, onNews);
  }

  /** Whether anything waits that is to be checked before it lands. */
  get isWanted(): boolean {
    return this.isBusy || this.branch.queue.requests.some(({ gate }) => gate !== undefined);
  }

  get isBusy(): boolean {
    return this.landings.isBusy || this.checks.isBusy;
  }

  get isRed(): boolean {
    return this.branch.isRed;
  }

  /** Until when nothing is begun, in milliseconds from the failure on; undefined when nothing is in the way. */
  get stallMs(): number | undefined {
    return this.checks.stallMs;
  }

  /** Why work waits that could land otherwise. */
  get waitingFor(): string | undefined {
    return this.checks.couldNotRun ?? this.branch.redBecause;
  }

  get checking(): string[][] {
    return this.branch.gate.seen.running.map(({ line }) => [...line]);
  }

  findings(): GateFindings | undefined {
    return this.branch.findings();
  }

  /** After a wait: what could not be run is tried again. */
  tryAgain(): void {
    this.checks.tryAgain();
  }

  doubtTip(): void {
    this.branch.doubtTip();
  }

  hear(health: BranchHealth, now: number): void {
    this.branch.hear(health, now);
  }

  /** Looks whether somebody else has moved the branch. Where that can never be seen again, nobody waits for it. */
  async look(): Promise<void> {
    try {
      await this.branch.look();
    } catch (error) {
      if (this.branch.effects.isCancellation(error)) throw error;
      this.branch.giveUp(rootMessage(error));
    }
  }

  /** Whether the remote may have refs of lines that were merged and never landed. */
  get hasMerged(): boolean {
    return this.branch.lines.hasMerged;
  }

  /** Begins all that can be begun now. */
  step(): void {
    const { gate, queue } = this.branch;
    const known = new Set(gate.seen.entries.map(({ id }) => id));
    for (const { id, priority, fix = false } of queue.requests) if (!known.has(id)) gate.add({ id, priority, fix });
    const conditions = {
      slots: this.slots,
      mayLand: (entry: { fix: boolean }) => queue.mayLand(entry) && (!this.isRed || entry.fix),
      starts: this.stallMs === undefined && !this.draining,
      doubted: queue.frozen.some(({ by }) => by === 'reconciler') && queue.requests.length > 0,
    };
    for (let decisions = gate.decide(conditions); decisions.length > 0; decisions = gate.decide(conditions)) {
      for (const decision of decisions) this.execute(decision);
    }
  }

  private execute(decision: Decision): void {
    switch (decision.kind) {
      case 'check':
        this.checks.begin(decision.key);
        return;
      case 'cancel':
        this.checks.cancel(decision.key);
        return;
      case 'eject': {
        const { id, report } = decision;
        this.branch.effects.log.info('a change is ejected: the checks fail with it', { id, report });
        this.branch.settle([id], { kind: 'ejected', reason: MERGE_TEXT.ejected(report) });
        return;
      }
      case 'land':
        void this.landings.land(decision.line);
    }
  }

  /** The strictest that any of them asks for is for all; `speculative` where one of them does. */
  private get slots(): number {
    const wide = this.branch.queue.requests.flatMap(({ gate }) => (gate?.mode === 'speculative' ? [gate.slots] : []));
    return Math.max(1, ...wide);
  }
}
