/**
 * The gate as the queue drives it, in a model of the world where anything happens at any time. A failing schedule is
 * shown with its seed and path: `AGENTSWARM_MERGE_SEED=<seed> AGENTSWARM_MERGE_PATH=<path>` plays it again.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MergeOutcome, MergeQueueInput, MergeRequest } from '../../../src/shared/contracts/merge.ts';
import { GateKeeper } from '../../../src/workflows/merge-queue/gate-driver.ts';
import { MergeQueueState } from '../../../src/workflows/merge-queue/state.ts';
import { ModelRemote } from '../../support/merge-model.ts';
import { mergeRequest } from '../../support/merge-requests.ts';

/** After so many steps nothing goes wrong any more, and after so many all must be done. */
const CALM_AFTER = 150;
const MAX_STEPS = 1_200;

type Planned = { bad: boolean; key: number | undefined; priority: number; fix: boolean };
type Plan = { requests: Planned[]; slots: number; speculative: boolean };

const plans = fc.record({
  requests: fc.array(
    fc.record({
      bad: fc.integer({ min: 0, max: 9 }).map((n) => n >= 8),
      key: fc.option(fc.nat(3), { nil: undefined, freq: 3 }),
      priority: fc.integer({ min: 1, max: 3 }),
      fix: fc.boolean(),
    }),
    { minLength: 1, maxLength: 8 },
  ),
  slots: fc.integer({ min: 1, max: 4 }),
  speculative: fc.boolean(),
});

function requestOf(
  id: string,
  { priority, fix }: Pick<Planned, 'priority' | 'fix'>,
  { speculative, slots }: Pick<Plan, 'speculative' | 'slots'>,
) {
  const mode = speculative ? ('speculative' as const) : ('batch' as const);
  return mergeRequest(id, { priority, fix, gate: { mode, slots, checks: [], setup: null } });
}

class Schedule {
  private readonly plan: Plan;
  private readonly choices: Iterator<number>;
  private readonly remote: ModelRemote;
  private readonly pending: (() => void)[] = [];
  private readonly answers = new Map<string, MergeOutcome>();
  private readonly entries: MergeRequest[];
  private asked = 0;
  private steps = 0;
  private input: MergeQueueInput = { repo: { location: '/x', key: '/x' }, target: 'main' };
  private queue: MergeQueueState;
  private keeper: GateKeeper;

  constructor(plan: Plan, choices: Iterator<number>) {
    this.plan = plan;
    this.choices = choices;
    this.entries = plan.requests.map((request, i) => requestOf(`r${i}`, request, plan));
    this.remote = new ModelRemote({
      bad: new Set(this.entries.filter((_, i) => plan.requests[i]?.bad).map(({ id }) => id)),
      keys: new Map(plan.requests.flatMap(({ key }, i) => (key === undefined ? [] : [[`r${i}`, key] as const]))),
      dies: () => !this.isCalm && this.oneIn(8),
      flakes: () => !this.isCalm && this.oneIn(15),
      cannotRun: () => !this.isCalm && this.oneIn(15),
      pass: (_, value) => new Promise((resolve) => this.pending.push(() => resolve(value))),
    });
    [this.queue, this.keeper] = this.begin();
  }

  async run(): Promise<void> {
    for (this.steps = 0; !this.isDone; this.steps++) {
      if (this.steps > MAX_STEPS) throw new Error(`it stands still: ${JSON.stringify([this.keeper, this.queue])}`);
      await this.happen();
      // All that follows from it without waiting for anything.
      await new Promise(setImmediate);
      const before = this.remote.landed.length;
      const frozen = !this.queue.mayLand({ fix: true });
      this.keeper.step();
      this.deliver();
      await new Promise(setImmediate);
      if (frozen) expect(this.remote.landed.length).toBe(before);
      this.perhapsContinueAsNew();
    }
    this.judge();
  }

  private get isCalm(): boolean {
    return this.steps > CALM_AFTER;
  }

  private get isDone(): boolean {
    return this.asked === this.entries.length && this.entries.every(({ id }) => this.answers.has(id));
  }

  /** One thing: most often, that something which is under way gets further. */
  private async happen(): Promise<void> {
    if (this.isCalm) this.calmDown();
    const choice = this.choose(20);
    const next = this.entries[this.asked];
    if (next !== undefined && (choice < 5 || this.pending.length === 0)) {
      this.asked += 1;
      this.queue.add(next);
    } else if (this.pending.length > 0 && (choice < 14 || this.isCalm)) {
      this.pending.splice(this.choose(this.pending.length), 1)[0]?.();
    } else if (this.keeper.stallMs !== undefined) {
      this.keeper.tryAgain();
    } else if (this.isCalm || choice === 14) {
      void this.keeper.look();
    } else if (choice === 15) {
      this.remote.pushByOthers((['something', 'a break', 'a mend'] as const)[this.choose(3)] ?? 'something');
    } else if (choice === 16) {
      this.queue.freeze({ by: 'person', reason: 'a release', since: 0 });
    } else if (choice === 17) {
      this.queue.thaw('person');
      this.keeper.doubtTip();
    } else if (choice === 18) {
      const commit = this.remote.tip;
      this.keeper.hear(this.remote.isBroken ? { kind: 'red', commit, reason: 'tests' } : { kind: 'green', commit }, 0);
    } else {
      // Whoever has not heard asks again.
      const again = this.entries[this.choose(Math.max(1, this.asked))];
      if (again !== undefined && this.asked > 0) this.queue.add(again);
    }
  }

  private calmDown(): void {
    while (this.remote.isBroken) this.remote.pushByOthers('a mend');
    if (this.queue.frozen.some(({ by }) => by === 'person')) this.queue.thaw('person');
  }

  /** A requester that is told twice is told the same. */
  private deliver(): void {
    for (const { answer } of this.queue.takeAnswers()) {
      const before = this.answers.get(answer.id);
      if (before !== undefined) expect(answer.outcome.kind).toBe(before.kind);
      this.answers.set(answer.id, answer.outcome);
      const { outcome } = answer;
      if (outcome.kind === 'landed') expect(this.remote.contains(this.remote.tip, outcome.commit)).toBe(true);
    }
  }

  private perhapsContinueAsNew(): void {
    if (!this.isCalm && this.oneIn(30)) this.keeper.draining = true;
    if (!this.keeper.draining || this.keeper.isBusy || this.queue.owesAnswers || this.pending.length > 0) return;
    const gate = this.keeper.findings();
    const state = { ...this.queue.toJSON(), ...(gate === undefined ? {} : { gate }) };
    this.input = JSON.parse(JSON.stringify({ ...this.input, state })) as MergeQueueInput;
    [this.queue, this.keeper] = this.begin();
  }

  private begin(): [MergeQueueState, GateKeeper] {
    const queue = new MergeQueueState(this.input);
    return [
      queue,
      new GateKeeper({ input: this.input, queue, effects: this.remote.effects(), onNews: () => undefined }),
    ];
  }

  private judge(): void {
    const { remote } = this;
    for (const [i, tip] of remote.tips.entries()) {
      if (i > 0) expect(remote.contains(tip, remote.tips[i - 1] ?? ''), 'the branch only moves forward').toBe(true);
    }
    const content = remote.content.filter((id) => id.startsWith('r'));
    expect(new Set(content).size, 'nothing lands twice').toBe(content.length);
    for (const commit of remote.landed) expect(remote.passed.has(commit), 'what landed has passed').toBe(true);
    for (const [i, { id }] of this.entries.entries()) {
      const kind = this.answers.get(id)?.kind;
      expect(content.includes(id), `${id} is ${kind}`).toBe(kind === 'landed');
      const { bad, fix } = this.plan.requests[i] ?? { bad: false, fix: false };
      if (bad) expect(kind, 'what is bad does not land').not.toBe('landed');
      // A fix of a red branch has to mend it.
      else if (kind === 'ejected' && !(fix && remote.content.includes('a break')))
        expect(remote.flaked, 'only flakes eject what is sound').toBeGreaterThanOrEqual(2);
      expect(['landed', 'ejected', 'conflicted'], JSON.stringify(this.answers.get(id))).toContain(kind);
    }
  }

  private choose(n: number): number {
    return (this.choices.next().value ?? 0) % n;
  }

  private oneIn(n: number): boolean {
    return this.choose(n) === 0;
  }
}

describe('the gate of a merge queue', () => {
  test('lands nothing twice, loses nothing, lands only what passed, whatever dies, flakes, conflicts or overtakes', async () => {
    const { AGENTSWARM_MERGE_SEED: seed, AGENTSWARM_MERGE_PATH: path, AGENTSWARM_MERGE_RUNS: runs } = process.env;
    await fc.assert(
      fc.asyncProperty(plans, fc.infiniteStream(fc.nat(1_000_000)), async (plan, choices) =>
        new Schedule(plan, choices).run(),
      ),
      {
        numRuns: Number(runs ?? 1_000),
        ...(seed === undefined ? {} : { seed: Number(seed) }),
        ...(path === undefined ? {} : { path }),
      },
    );
  }, 120_000);

  test('on a red branch fixes land that each mend a part of it, one that mends nothing does not, and then all do', async () => {
    const input: MergeQueueInput = { repo: { location: '/x', key: '/x' }, target: 'main' };
    const mends: Record<string, string> = { r0: 'error a', r1: 'error b' };
    const remote = new ModelRemote({
      bad: new Set(),
      keys: new Map(),
      errors: (content) => ['error a', 'error b'].filter((error) => !content.some((id) => mends[id] === error)),
      dies: () => false,
      flakes: () => false,
      cannotRun: () => false,
      pass: (_, value) => Promise.resolve(value),
    });
    const queue = new MergeQueueState(input);
    const keeper = new GateKeeper({ input, queue, effects: remote.effects(), onNews: () => undefined });
    const settle = async (...ids: string[]): Promise<string[]> => {
      for (const id of ids)
        queue.add(requestOf(id, { priority: 5, fix: id !== 'r3' }, { speculative: false, slots: 1 }));
      for (let i = 0; i < 20; i++) {
        keeper.step();
        await new Promise(setImmediate);
      }
      return queue.takeAnswers().map(({ answer }) => `${answer.id} ${answer.outcome.kind}`);
    };
    keeper.hear({ kind: 'red', commit: remote.tip, reason: 'a and b' }, 0);
    expect(await settle('r3')).toEqual([]);
    expect(await settle('r2')).toEqual(['r2 ejected']);
    expect(await settle('r0')).toEqual(['r0 landed']);
    expect(queue.frozen).toHaveLength(1);
    expect(await settle('r1')).toEqual(['r1 landed', 'r3 landed']);
    expect(queue.frozen).toEqual([]);
    expect(remote.content).toEqual(['r0', 'r1', 'r3']);
  });
});
