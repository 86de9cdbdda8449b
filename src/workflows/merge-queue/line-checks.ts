/** Merges lines and has them checked, several at once, and tells the gate what came of it. */
import type { Verdict } from '../../shared/merge-queue/gate.ts';
import { FailureType, failureTypeOf, rootMessage } from '../../shared/base/failures.ts';
import { MERGE_TEXT } from '../../shared/merge-queue/text.ts';
import type { GatedBranch } from './gated-branch.ts';
import type { Composed } from './composed-lines.ts';

const STALL_MS = { first: 5_000, most: 10 * 60_000 };

export class LineChecks {
  private readonly running = new Map<number, { cancel(): void }>();
  private stalled: { reason: string; times: number; waits: boolean } | undefined;
  private readonly branch: GatedBranch;
  private readonly onNews: () => void;

  constructor(branch: GatedBranch, onNews: () => void) {
    this.branch = branch;
    this.onNews = onNews;
  }

  get isBusy(): boolean {
    return this.running.size > 0;
  }

  /** Until when nothing is begun, in milliseconds from the failure on; undefined when nothing is in the way. */
  get stallMs(): number | undefined {
    if (this.stalled?.waits !== true) return undefined;
    return Math.min(STALL_MS.most, STALL_MS.first * 2 ** (this.stalled.times - 1));
  }

  /** Why nothing is checked. */
  get couldNotRun(): string | undefined {
    return this.stalled === undefined ? undefined : MERGE_TEXT.couldNotRun(this.stalled.reason);
  }

  /** After a wait: what could not be run is tried again. */
  tryAgain(): void {
    if (this.stalled !== undefined) this.stalled.waits = false;
  }

  begin(key: number): void {
    this.running.set(
      key,
      this.branch.effects.cancellable(() => this.check(key)),
    );
  }

  cancel(key: number): void {
    this.running.get(key)?.cancel();
  }

  /** Never rejects. */
  private async check(key: number): Promise<void> {
    const { branch } = this;
    const { gate, effects, queue } = branch;
    try {
      const composed = await branch.exclusively(() => this.compose(key));
      if (composed === undefined) return;
      const line = gate.lineOf(key);
      if (line === undefined) return;
      const verdict = await this.judge(line, composed);
      this.stalled = undefined;
      if (gate.lineOf(key)?.length === 0) {
        branch.tipReport = verdict.report;
        // Somebody has mended it since the sweep.
        if (verdict.passed) queue.thaw('reconciler');
      }
      gate.checked(key, verdict);
    } catch (error) {
      if (effects.isCancellation(error)) return;
      if (isHopeless(error)) return branch.giveUp(rootMessage(error));
      gate.checked(key, undefined);
      this.stalled = { reason: rootMessage(error), times: (this.stalled?.times ?? 0) + 1, waits: true };
      const { reason, times } = this.stalled;
      effects.log.warn('the gate could not run its checks', { reason, times });
    } finally {
      this.running.delete(key);
      this.onNews();
    }
  }

  /** The commit to be checked, or undefined when nothing of the line is left to check. */
  private async compose(key: number): Promise<Pick<Composed, 'commit' | 'ref'> | undefined> {
    const { gate, lines, queue, effects, at } = this.branch;
    const line = gate.lineOf(key);
    if (line === undefined) return undefined;
    const before = lines.beginningOf(line);
    if (line.length > 0 && before?.line.length === line.length) return before;
    const entries = this.branch.requestsOf(line.slice(before?.line.length ?? 0));
    const result = await effects.composeLine({
      ...at,
      ...(lines.base === undefined ? {} : { base: lines.base }),
      ...(before === undefined ? {} : { onto: { commit: before.commit, ref: before.ref } }),
      entries,
    });
    const merged = lines.add(before?.line ?? [], result);
    if (line.length === 0) return result;
    gate.composed(key, merged.line, merged.aside);
    queue.settle(merged.decided);
    gate.withdraw(merged.decided.map(({ id }) => id));
    return merged.line.length === 0 ? undefined : (lines.find(merged.line) ?? (await this.compose(key)));
  }

  /** The tip alone is checked as those that wait would be. */
  private judge(line: readonly string[], at: Pick<Composed, 'commit' | 'ref'>): Promise<Verdict> {
    const { branch } = this;
    const requests = line.length > 0 ? branch.requestsOf(line) : branch.queue.requests;
    return branch.verdicts.on({ ...at, line, requests, base: branch.lines.base, tip: () => branch.gate.seen.tip });
  }
}

const HOPELESS: readonly string[] = [FailureType.RepositoryUnusable, FailureType.PushRefused, FailureType.Invariant];

const isHopeless = (error: unknown): boolean => HOPELESS.includes(failureTypeOf(error) ?? '');
