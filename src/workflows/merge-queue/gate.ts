/**
 * Drives the gate of a merge queue: does what it decides (merge, check, land, eject) and tells it what came of it.
 * What is merged or landed is so one at a time; checks run beside each other.
 */
import type { BranchHealth, GateFindings } from '../../shared/contracts/gate.ts';
import type { MergeOutcome, MergeQueueInput, MergeRequest, Refusal } from '../../shared/contracts/merge.ts';
import { type Decision, Gate, newGate, type Verdict } from '../../shared/decisions/gate/gate.ts';
import { FailureType, failureTypeOf, rootMessage, terminal } from '../../shared/failures.ts';
import { MERGE_TEXT } from '../../shared/merge-text.ts';
import { type Composed, ComposedLines } from './lines.ts';
import type { MergeQueueState } from './state.ts';
import { type GateEffects, GateVerdicts } from './verdicts.ts';

/** One check is of at most so many. */
const MAX_LINE = 50;
const STALL_MS = { first: 5_000, most: 10 * 60_000 };

export class GateKeeper {
  private readonly gate: Gate;
  private readonly lines: ComposedLines;
  private readonly checks = new Map<number, { cancel(): void }>();
  /** Merging and landing wait for each other. */
  private tail: Promise<unknown> = Promise.resolve();
  private landing = false;
  private tipReport: string | undefined;
  private stalled: { reason: string; times: number; waits: boolean } | undefined;
  /** Set while the queue is about to continue as new: nothing more begins. */
  draining = false;
  private readonly branch: { repo: MergeQueueInput['repo']; target: string };
  private readonly queue: MergeQueueState;
  private readonly effects: GateEffects;
  private readonly verdicts: GateVerdicts;
  private readonly onNews: () => void;

  constructor(options: {
    input: MergeQueueInput;
    queue: MergeQueueState;
    effects: GateEffects;
    /** Something came of what was begun: it is time for the next step. */
    onNews: () => void;
  }) {
    const { input, queue, effects, onNews } = options;
    const found = input.state?.gate;
    this.branch = { repo: input.repo, target: input.target };
    this.queue = queue;
    this.effects = effects;
    this.verdicts = new GateVerdicts(input.repo, effects);
    this.onNews = onNews;
    this.lines = new ComposedLines(found?.base);
    this.tipReport = found?.tipReport;
    this.gate = new Gate({ ...newGate(found?.tip), failed: found?.failed ?? [] }, { maxBatch: MAX_LINE });
  }

  /** Whether anything waits that is to be checked before it lands. */
  get isWanted(): boolean {
    return this.isBusy || this.queue.requests.some(({ gate }) => gate !== undefined);
  }

  get isBusy(): boolean {
    return this.landing || this.checks.size > 0;
  }

  get isRed(): boolean {
    return this.gate.state.tip === 'red';
  }

  /** Until when nothing is begun, in milliseconds from the failure on; undefined when nothing is in the way. */
  get stallMs(): number | undefined {
    if (this.stalled?.waits !== true) return undefined;
    return Math.min(STALL_MS.most, STALL_MS.first * 2 ** (this.stalled.times - 1));
  }

  /** Why work waits that could land otherwise. */
  get waitingFor(): string | undefined {
    if (this.stalled !== undefined) return MERGE_TEXT.couldNotRun(this.stalled.reason);
    return this.isRed ? MERGE_TEXT.red(this.lines.base ?? '', this.tipReport ?? '') : undefined;
  }

  get checking(): string[][] {
    return this.gate.state.running.map(({ line }) => [...line]);
  }

  /** What is known and holds as long as the branch stays where it is; only when nothing is under way. */
  findings(): GateFindings | undefined {
    const { tip, failed } = this.gate.state;
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

  /** After a wait: what could not be run is tried again. */
  tryAgain(): void {
    if (this.stalled !== undefined) this.stalled.waits = false;
  }

  /** A person says that a branch which failed by itself is worth another look. */
  doubtTip(): void {
    if (this.isRed) Object.assign(this.gate.state, { tip: 'unknown', tipFailures: 0 });
  }

  /** What a sweep has seen freezes the branch or thaws it, unless the gate has seen something newer pass. */
  hear(health: BranchHealth, now: number): void {
    const { state } = this.gate;
    switch (health.kind) {
      case 'unknown':
        this.queue.thaw('reconciler');
        return;
      case 'green':
        this.queue.thaw('reconciler');
        if (health.commit === this.lines.base) Object.assign(state, { tip: 'green', tipFailures: 0 });
        return;
      case 'red':
        if (state.tip === 'green' && this.lines.base !== undefined && health.commit !== this.lines.base) {
          this.effects.log.info('a sweep is older than what has landed since', { commit: health.commit });
          return;
        }
        this.queue.freeze({ by: 'reconciler', reason: health.reason, since: now });
    }
  }

  /** Looks whether somebody else has moved the branch, which may be what ends a freeze. */
  async look(): Promise<void> {
    try {
      await this.exclusively(async () => {
        const { base } = await this.effects.composeLine({ ...this.branch, entries: [] });
        if (base === this.lines.base) return;
        this.moved();
        this.lines.base = base;
      });
    } catch (error) {
      if (this.effects.isCancellation(error)) throw error;
      this.giveUp(rootMessage(error));
    }
  }

  /** Refs of lines that were merged and never landed. */
  takeRefs(): string[] {
    return this.lines.takeRefs();
  }

  /** Begins all that can be begun now. */
  step(): void {
    const { gate, queue } = this;
    const known = new Set(gate.state.entries.map(({ id }) => id));
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
      case 'check': {
        const { key } = decision;
        this.checks.set(
          key,
          this.effects.cancellable(() => this.check(key)),
        );
        return;
      }
      case 'cancel':
        this.checks.get(decision.key)?.cancel();
        return;
      case 'eject':
        this.effects.log.info('a change is ejected: the checks fail with it', {
          id: decision.id,
          report: decision.report,
        });
        this.settle([decision.id], { kind: 'ejected', reason: MERGE_TEXT.ejected(decision.report) });
        return;
      case 'land':
        this.landing = true;
        void this.land(decision.line);
    }
  }

  /** Never rejects. */
  private async check(key: number): Promise<void> {
    try {
      const composed = await this.exclusively(() => this.compose(key));
      if (composed === undefined) return;
      const line = this.gate.lineOf(key);
      if (line === undefined) return;
      const verdict = await this.judge(line, composed);
      this.stalled = undefined;
      if (this.gate.lineOf(key)?.length === 0) {
        this.tipReport = verdict.report;
        // Somebody has mended it since the sweep.
        if (verdict.passed) this.queue.thaw('reconciler');
      }
      this.gate.checked(key, verdict);
    } catch (error) {
      if (this.effects.isCancellation(error)) return;
      if (isHopeless(error)) return this.giveUp(rootMessage(error));
      this.gate.checked(key, undefined);
      this.stalled = { reason: rootMessage(error), times: (this.stalled?.times ?? 0) + 1, waits: true };
      this.effects.log.warn('the gate could not run its checks', {
        reason: this.stalled.reason,
        times: this.stalled.times,
      });
    } finally {
      this.checks.delete(key);
      this.onNews();
    }
  }

  /** The commit to be checked, or undefined when nothing of the line is left to check. */
  private async compose(key: number): Promise<Pick<Composed, 'commit' | 'ref'> | undefined> {
    const line = this.gate.lineOf(key);
    if (line === undefined) return undefined;
    const { lines } = this;
    const before = lines.beginningOf(line);
    if (line.length > 0 && before?.line.length === line.length) return before;
    const entries = this.requestsOf(line.slice(before?.line.length ?? 0));
    const result = await this.effects.composeLine({
      ...this.branch,
      ...(lines.base === undefined ? {} : { base: lines.base }),
      ...(before === undefined ? {} : { onto: { commit: before.commit, ref: before.ref } }),
      entries,
    });
    const merged = lines.add(before?.line ?? [], result);
    if (line.length === 0) return result;
    this.gate.composed(key, merged.line, merged.aside);
    this.queue.settle(merged.decided);
    this.gate.withdraw(merged.decided.map(({ id }) => id));
    return merged.line.length === 0 ? undefined : (lines.find(merged.line) ?? (await this.compose(key)));
  }

  /** The tip alone is checked as those that wait would be. */
  private judge(line: readonly string[], at: Pick<Composed, 'commit' | 'ref'>): Promise<Verdict> {
    const requests = line.length > 0 ? this.requestsOf(line) : this.queue.requests;
    return this.verdicts.on({ ...at, line, requests, base: this.lines.base, tip: () => this.gate.state.tip });
  }

  /** Never rejects. */
  private async land(line: readonly string[]): Promise<void> {
    try {
      await this.exclusively(() => this.push(line));
    } catch (error) {
      if (this.effects.isCancellation(error)) return;
      this.giveUp(rootMessage(error));
    } finally {
      this.landing = false;
      this.onNews();
    }
  }

  private async push(line: readonly string[]): Promise<void> {
    const { lines, gate, branch } = this;
    // While it waited for its turn, the branch was found to be somewhere else.
    if (gate.state.landing !== line) return;
    const composed = lines.find(line);
    const { base } = lines;
    if (composed === undefined || base === undefined) {
      throw terminal(FailureType.Invariant, `the line ${line.join(', ')} is to land and was never merged`);
    }
    const answers = lines.answersTo(line);
    const drop = [...this.requestsOf(line).map(({ ref }) => ref), ...lines.refsWithout(line)];
    const { commit, ref } = composed;
    const result = await this.effects.landLine({ ...branch, base, commit, ref, drop });
    switch (result.kind) {
      case 'landed':
        this.queue.settle(answers);
        lines.landed(line, commit);
        if (this.verdicts.isPartial(commit)) {
          gate.landed('unknown');
        } else {
          gate.landed();
          // Its checks have passed as a whole, whatever was wrong before.
          this.queue.thaw('reconciler');
        }
        this.verdicts.forget();
        if (result.tip !== commit) this.moved();
        return;
      case 'overtaken':
        this.moved();
        return;
      case 'refused': {
        const { reason, because } = result;
        if (line.length > 1 && ONE_CHANGE.includes(because)) gate.divide(reason);
        else this.refused(line, { kind: 'refused', reason, because });
      }
    }
  }

  private refused(line: readonly string[], outcome: MergeOutcome): void {
    this.settle(line, outcome);
    this.gate.state.landing = null;
    this.gate.withdraw(line);
  }

  /** Nobody waits for what cannot come. */
  private giveUp(reason: string): void {
    const ids = this.queue.requests.map(({ id }) => id);
    this.refused(ids, { kind: 'refused', reason });
  }

  private settle(ids: readonly string[], outcome: MergeOutcome): void {
    this.queue.settle(ids.map((id) => ({ id, outcome })));
  }

  private moved(): void {
    this.verdicts.forget();
    this.lines.moved();
    this.gate.moved();
  }

  private requestsOf(line: readonly string[]): MergeRequest[] {
    return line.flatMap((id) => this.queue.requests.find((request) => request.id === id) ?? []);
  }

  /** The strictest that any of them asks for is for all; `speculative` where one of them does. */
  private get slots(): number {
    const wide = this.queue.requests.flatMap(({ gate }) => (gate?.mode === 'speculative' ? [gate.slots] : []));
    return Math.max(1, ...wide);
  }

  private async exclusively<T>(work: () => Promise<T>): Promise<T> {
    const before = this.tail;
    const mine = (async () => {
      await before.catch(() => undefined);
      return await work();
    })();
    this.tail = mine.catch(() => undefined);
    return await mine;
  }
}

/** Refusals that may be of one change of several, see `mayBeOfOneChange`. */
const ONE_CHANGE: readonly Refusal[] = ['content', 'hook', 'quota'];
const HOPELESS: readonly string[] = [FailureType.RepositoryUnusable, FailureType.PushRefused, FailureType.Invariant];

const isHopeless = (error: unknown): boolean => HOPELESS.includes(failureTypeOf(error) ?? '');
