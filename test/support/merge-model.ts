/**
 * A model of the world that a merge queue acts on: a remote with one branch, activities that die at their boundaries
 * and are tried again, checks that are flaky, people who push. What happens when is chosen by the caller.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import type { ChecksResult } from '../../src/shared/contracts/checks.ts';
import type { ComposedStep } from '../../src/shared/contracts/compose.ts';
import type { MergeRequest } from '../../src/shared/contracts/merge.ts';
import type { GateEffects } from '../../src/workflows/merge-queue/verdicts.ts';

export class Cancelled extends Error {}

type Commit = { parent: string | null; ids: readonly string[] };

export type World = {
  bad: ReadonlySet<string>;
  /** Errors that the checks of this content show; without it they only say whether it is sound. */
  errors?: (content: readonly string[]) => readonly string[];
  /** Two requests with the same key conflict with each other. */
  keys: ReadonlyMap<string, number>;
  /** Whether the activity that is under way dies here, to be tried again from its start. */
  dies: () => boolean;
  /** Whether a check of what is sound fails all the same; whether it cannot be run. */
  flakes: () => boolean;
  cannotRun: () => boolean;
  /** Lets other things happen first. */
  pass: <T>(name: string, value: T) => Promise<T>;
};

export class ModelRemote {
  readonly commits = new Map<string, Commit>();
  /** Every tip that the branch has had. */
  readonly tips: string[] = [];
  /** Commits whose checks have passed. */
  readonly passed = new Set<string>();
  /** Commits that the queue has brought to the branch. */
  readonly landed: string[] = [];
  flaked = 0;
  private readonly world: World;
  private count = 0;

  constructor(world: World) {
    this.world = world;
    this.tips.push(this.commit(null, []));
  }

  get tip(): string {
    return this.tips.at(-1) ?? '';
  }

  /** Of the branch as it is now, oldest first. */
  get content(): readonly string[] {
    return this.contentOf(this.tip);
  }

  /** Somebody else pushes. */
  pushByOthers(what: 'something' | 'a break' | 'a mend'): void {
    this.tips.push(this.commit(this.tip, what === 'something' ? [] : [what]));
  }

  get isBroken(): boolean {
    return isBroken(this.content);
  }

  effects(): GateEffects {
    return {
      composeLine: (request) =>
        this.alive(async () => {
          const base = await this.pass('fetch', request.base ?? this.tip);
          this.boundary();
          let running = request.onto?.commit ?? base;
          const steps: ComposedStep[] = request.entries.map((entry) => {
            const step = this.merge(entry, base, running);
            if (step.kind === 'merged') running = step.outcome.commit;
            return step;
          });
          await this.pass('merge', undefined);
          this.boundary();
          return { base, commit: running, ref: `refs/agentswarm/gate/main/${running}`, steps };
        }),
      landLine: ({ base, commit }) =>
        this.alive(async () => {
          await this.pass('before the push', undefined);
          this.boundary();
          if (this.contains(this.tip, commit)) return { kind: 'landed', tip: this.tip };
          if (this.tip !== base) return { kind: 'overtaken' };
          this.tips.push(commit);
          this.landed.push(commit);
          await this.pass('after the push', undefined);
          this.boundary();
          return this.contains(this.tip, commit) ? { kind: 'landed', tip: this.tip } : { kind: 'overtaken' };
        }),
      runChecks: ({ commit }) => this.alive(() => this.check(commit)),
      cancellable: (work) => this.cancellable(work),
      isCancellation: (error) => error instanceof Cancelled,
      log: { info: () => undefined, warn: () => undefined },
    };
  }

  contains(tip: string, commit: string): boolean {
    for (let at: string | null | undefined = tip; at != null; at = this.commits.get(at)?.parent) {
      if (at === commit) return true;
    }
    return false;
  }

  contentOf(tip: string): readonly string[] {
    const { parent = null, ids = [] } = this.commits.get(tip) ?? {};
    return parent === null ? ids : [...this.contentOf(parent), ...ids];
  }

  private async check(commit: string): Promise<ChecksResult> {
    await this.pass('check', undefined);
    this.boundary();
    if (this.world.cannotRun()) return { verdict: 'could-not-run', commit, checks: [], reason: 'no sandbox' };
    const content = this.contentOf(commit);
    if (this.world.errors !== undefined) return this.listErrors(commit, this.world.errors(content));
    const sound = !isBroken(content) && !content.some((id) => this.world.bad.has(id));
    const flaked = sound && this.world.flakes();
    if (flaked) this.flaked += 1;
    if (sound && !flaked) this.passed.add(commit);
    return { verdict: sound && !flaked ? 'passed' : 'failed', commit, checks: [] };
  }

  private listErrors(commit: string, signatures: readonly string[]): ChecksResult {
    const errors = signatures.map((signature) => ({ check: 'test', message: signature, signature }));
    const verdict = errors.length === 0 ? 'passed' : 'failed';
    if (verdict === 'passed') this.passed.add(commit);
    return { verdict, commit, checks: [{ name: 'test', status: verdict, durationMs: 1, errors, tail: '' }] };
  }

  private merge(entry: MergeRequest, base: string, running: string): ComposedStep {
    const { id } = entry;
    const before = this.contentOf(running);
    const onBranch = this.contentOf(base);
    if (onBranch.includes(id))
      return { kind: 'decided', id, outcome: { kind: 'landed', commit: this.bringing(base, id) } };
    const key = this.world.keys.get(id);
    const conflicts = (content: readonly string[]): boolean =>
      content.some((other) => key !== undefined && this.world.keys.get(other) === key);
    if (conflicts(onBranch)) {
      return { kind: 'decided', id, outcome: { kind: 'conflicted', files: [`key-${key}`], tip: base } };
    }
    if (conflicts(before)) return { kind: 'aside', id };
    return { kind: 'merged', id, outcome: { kind: 'landed', commit: this.commit(running, [id]) } };
  }

  private bringing(tip: string, id: string): string {
    for (let at: string | null | undefined = tip; at != null; at = this.commits.get(at)?.parent) {
      if (this.commits.get(at)?.ids.includes(id) === true) return at;
    }
    throw new Error(`${id} is not on ${tip}`);
  }

  private commit(parent: string | null, ids: readonly string[]): string {
    const sha = createHash('sha1')
      .update(`${this.count++}`)
      .digest('hex');
    this.commits.set(sha, { parent, ids });
    return sha;
  }

  private cancellable(work: () => Promise<void>): { cancel(): void } {
    const scope = { cancelled: false };
    void SCOPE.run(scope, work);
    return { cancel: () => (scope.cancelled = true) };
  }

  /** Other things happen first; whoever was cancelled meanwhile hears of it. */
  private async pass<T>(name: string, value: T): Promise<T> {
    const passed = await this.world.pass(name, value);
    if (SCOPE.getStore()?.cancelled === true) throw new Cancelled(`${name}: cancelled`);
    return passed;
  }

  private boundary(): void {
    if (this.world.dies()) throw new Died();
  }

  /** As the server has it: an activity that died is begun again. */
  private async alive<T>(activity: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const result = await this.pass('the answer', await activity());
        this.boundary();
        return result;
      } catch (error) {
        if (!(error instanceof Died)) throw error;
      }
    }
  }
}

const SCOPE = new AsyncLocalStorage<{ cancelled: boolean }>();

class Died extends Error {}

const isBroken = (content: readonly string[]): boolean =>
  content.filter((id) => id === 'a break').length > content.filter((id) => id === 'a mend').length;
