/** Planners of a tree, with the messages between them in any order: what of the run's workers each of them uses. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_METRICS } from '../../../src/shared/contracts/task.ts';
import type { WorkersReport } from '../../../src/shared/contracts/workers.ts';
import {
  allotWorkers,
  FIRST_BELOW,
  FIRST_LENT,
  heardWord,
  type WorkersWord,
} from '../../../src/shared/planner/lending.ts';
import { PlannerState } from '../../../src/workflows/planner/state/planner-state.ts';

/** What a planner has to do: null is a task of one agent. */
type Work = (Work | null)[];

const SCRATCHPAD = { goals: '', state: '', reasoning: '', intelligence: '' };
const chainOf = (workflowId: string) => ({ workflowId, firstRunId: `first of ${workflowId}` });

/** The real states of planners, wired by hand: nothing arrives before `deliver` picks it. */
class Tree {
  readonly planners = new Map<string, { state: PlannerState; work: Work; above: string | undefined; over: boolean }>();
  readonly agents: { planner: string; task: string }[] = [];
  readonly post: (() => void)[] = [];
  most = 0;

  constructor(work: Work, maxWorkers: number) {
    this.open('run', work, maxWorkers, undefined);
    this.tick('run');
  }

  get isOver(): boolean {
    return this.root.over;
  }

  get root() {
    return this.of('run');
  }

  /** Takes one of what can happen next. */
  step(pick: number): void {
    const happening = this.post.length + this.agents.length;
    if (happening === 0) return;
    const at = pick % happening;
    if (at < this.post.length) this.post.splice(at, 1)[0]?.();
    else this.finish(at - this.post.length);
  }

  deliverAll(): void {
    for (let message = this.post.shift(); message !== undefined; message = this.post.shift()) message();
  }

  finish(at: number): void {
    const [agent] = this.agents.splice(at, 1);
    if (agent !== undefined) this.ends(agent.planner, agent.task);
  }

  limit(maxWorkers: number): void {
    for (const id of this.planners.keys()) {
      const tell = () => this.hears(id, (state) => state.commands.limit({ maxWorkers }));
      if (id === 'run') tell();
      else this.post.push(tell);
    }
  }

  private of(id: string) {
    const planner = this.planners.get(id);
    if (planner === undefined) throw new Error(`there is no planner ${id}`);
    return planner;
  }

  private open(id: string, work: Work, maxWorkers: number, above: string | undefined): void {
    const state = new PlannerState({ runId: 'run', id, maxWorkers, maxAttempts: 1, replanAfter: 3 });
    const common = { description: '', scope: [], acceptance: [], dependsOn: [] };
    const tasks = work.map((_, i) => ({ ...common, id: `t${i}`, priority: 1 + (i % 3) }));
    state.applyPlan({ scratchpad: SCRATCHPAD, tasks, done: true }, 0);
    this.planners.set(id, { state, work, above, over: false });
  }

  /** As the loop of a planner: starts what it can, tells those below, and the one above. */
  private tick(id: string): void {
    const { state, work, above, over } = this.of(id);
    if (over) return;
    for (const { spec } of state.dispatch.ready()) {
      state.events.assigned(spec.id, 0);
      const below = work[Number(spec.id.slice(1))];
      const child = `${id}/${spec.id}.1`;
      state.events.started(spec.id, chainOf(child), Array.isArray(below));
      if (Array.isArray(below)) {
        this.open(child, below, this.root.state.limits.tuned.maxWorkers, id);
        this.post.push(() => this.tick(child));
      } else this.agents.push({ planner: id, task: spec.id });
    }
    for (const { child, word } of state.dispatch.takeLoans()) this.send(child.workflowId, word);
    this.most = Math.max(this.most, this.agents.length);
    const need = state.dispatch.takeNeed();
    if (need !== undefined && above !== undefined) {
      const report: WorkersReport = { sender: chainOf(id), taskId: taskOf(id), ...need };
      this.post.push(() => this.hears(above, (planner) => planner.dispatch.workersNeeded(report)));
    }
    const { active, pending } = state.planningInput();
    if (active + pending > 0) return;
    this.of(id).over = true;
    if (above !== undefined) this.post.push(() => this.ends(above, taskOf(id)));
  }

  private send(to: string, word: WorkersWord): void {
    this.post.push(() => this.hears(to, (state) => state.dispatch.workersLent(word)));
  }

  private hears(id: string, change: (state: PlannerState) => void): void {
    const planner = this.of(id);
    if (planner.over) return;
    // Each of them continues as new between any two things that it hears.
    planner.state = new PlannerState(
      { runId: 'run', id, replanAfter: 3, ...planner.state.limits.tuned },
      JSON.parse(JSON.stringify(planner.state)),
    );
    change(planner.state);
    this.tick(id);
  }

  private ends(id: string, task: string): void {
    const child = `${id}/${task}.1`;
    const handoff = {
      status: 'complete' as const,
      summary: '',
      concerns: [],
      suggestions: [],
      filesChanged: [],
      metrics: NO_METRICS,
    };
    const message = { id: child, sender: chainOf(child), taskId: task, attempt: 1, queued: false, handoff };
    this.hears(id, (state) => state.events.handoff(message, 1));
  }
}

const taskOf = (id: string): string => /([^/]+)\.1$/.exec(id)?.[1] ?? '';

const leaf = fc.constant(null);
const level = (below: fc.Arbitrary<Work | null>): fc.Arbitrary<Work> => fc.array(below, { minLength: 1, maxLength: 5 });
const works = level(fc.oneof(leaf, level(fc.oneof(leaf, level(fc.oneof(leaf, level(leaf)))))));
const picks = fc.array(fc.nat({ max: 1_000 }), { maxLength: 200 });

/** All that is left happens, one thing after the other. */
function toTheEnd(tree: Tree): void {
  for (let steps = 0; !tree.isOver && steps < 5_000; steps++) tree.step(0);
}

describe('the workers of a run', () => {
  test('are never more at once than the run may have, on all levels together, and every division comes to its end', () => {
    fc.assert(
      fc.property(works, fc.integer({ min: 1, max: 6 }), picks, (work, limit, order) => {
        const tree = new Tree(work, limit);
        for (const pick of order) tree.step(pick);
        toTheEnd(tree);
        expect(tree.most).toBeLessThanOrEqual(limit);
        expect(tree.isOver).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  test('follow a limit that people change, as far as divisions keep one each', () => {
    fc.assert(
      fc.property(works, fc.integer({ min: 2, max: 6 }), fc.integer({ min: 1, max: 8 }), picks, (work, a, b, order) => {
        const tree = new Tree(work, a);
        for (const pick of order.slice(0, 40)) tree.step(pick);
        tree.limit(b);
        for (const pick of order.slice(40)) tree.step(pick);
        expect(tree.most).toBeLessThanOrEqual(Math.max(a, b));
        // What ran when it was lowered has ended.
        for (let more = a; more > 0; more--) {
          tree.deliverAll();
          tree.finish(0);
        }
        tree.deliverAll();
        const open = [...tree.planners.values()].filter(({ over }) => !over).length;
        expect(tree.agents.length).toBeLessThanOrEqual(Math.max(b, open));
        toTheEnd(tree);
        expect(tree.isOver).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('all work where there is enough to do, wherever that is', () => {
    fc.assert(
      fc.property(works, fc.integer({ min: 1, max: 6 }), picks, (work, limit, order) => {
        const tree = new Tree(work, limit);
        for (const pick of order) tree.step(pick);
        tree.deliverAll();
        // Once nothing is under way between planners, who could start something has no worker that he may use.
        const pending = [...tree.planners.values()]
          .filter(({ over }) => !over)
          .map(({ state }) => state.planningInput());
        const waiting = pending.reduce((sum, input) => sum + input.pending, 0);
        const idle = pending.filter(({ active }) => active === 0).length;
        expect(tree.agents.length).toBe(Math.min(limit, tree.agents.length + waiting) - idle);
      }),
      { numRuns: 150 },
    );
  });
});

test('a word that comes after a newer one is not heard', () => {
  const lent = heardWord(FIRST_LENT, { round: 2, most: 1, held: 3 });
  expect(heardWord(lent, { round: 1, most: 3, held: 3 })).toEqual(lent);
});

describe('who gets a worker', () => {
  const below = (more: Partial<typeof FIRST_BELOW & { priority: number }>) => ({
    ...FIRST_BELOW,
    priority: 5,
    ...more,
  });
  test.each([
    [
      'own tasks and divisions get the same',
      { limit: 8, active: 0, ready: [5, 5, 5, 5, 5, 5, 5, 5] },
      [{ wants: 8 }],
      4,
      [4],
    ],
    ['the higher priority goes first', { limit: 4, active: 0, ready: [1, 1, 1] }, [{ wants: 8 }], 3, [1]],
    [
      'what is lent is asked back for who has fewer',
      { limit: 4, active: 0, ready: [5, 5] },
      [{ most: 4, held: 4, wants: 4 }],
      0,
      [2],
    ],
    [
      'what has not come back is not lent twice',
      { limit: 4, active: 0, ready: [5, 5] },
      [{ most: 2, held: 4, wants: 4 }],
      0,
      [2],
    ],
    [
      'what has no use for more gets no more',
      { limit: 8, active: 1, ready: [] },
      [{ wants: 2 }, { wants: 1 }],
      0,
      [2, 1],
    ],
    [
      'each division keeps one when there are too few',
      { limit: 1, active: 0, ready: [5] },
      [{ wants: 3 }, { wants: 3 }],
      0,
      [1, 1],
    ],
  ])('%s', (_, claims, lent, start, most) => {
    expect(allotWorkers({ ...claims, below: lent.map(below) })).toEqual({ start, most });
  });
});
