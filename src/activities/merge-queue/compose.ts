/** Merges a line of requests onto a tip without pushing it to the branch, for the gate to check. */
import type { ComposedStep, ComposeRequest, ComposeResult } from '../../shared/contracts/compose.ts';
import type { MergeOutcome, MergeRequest } from '../../shared/contracts/merge.ts';
import { type CommitSha, gateRefPrefix } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { branchRef } from '../git/names.ts';
import type { Log } from '../support/log.ts';
import { dropRefs, fetchTarget } from './land.ts';
import { planBatch } from './plan.ts';

/**
 * What was merged is on the remote under a ref below `gateRefPrefix`, so that any host can check it; the branch is not
 * touched. Only what the branch's tip alone says of a request is decided: a conflict with something that may never
 * land is none.
 * @throws as `landBatch`.
 */
export async function composeLine(
  mirror: Mirror,
  request: ComposeRequest,
  { log, signal }: { log?: Log; signal?: AbortSignal } = {},
): Promise<ComposeResult> {
  const { target, onto, entries } = request;
  if (request.base !== undefined) await mirror.ensureCommit(request.base, branchRef(target));
  if (onto !== undefined) await mirror.ensureCommit(onto.commit, onto.ref);
  const base = request.base ?? (await fetchTarget(mirror, target));
  const start = onto?.commit ?? base;
  const unchanged = { base, commit: start, ref: onto?.ref ?? branchRef(target) };
  if (entries.length === 0) return { ...unchanged, steps: [] };
  const plan = await planBatch(mirror, start, entries, { signal, log });
  const before = new Landed(mirror, base, start);
  const steps: ComposedStep[] = [];
  let merged = start !== base;
  for (const [i, entry] of entries.entries()) {
    const outcome = plan.outcomes[i];
    if (outcome === undefined) throw new Error(`request ${entry.id} got no outcome`);
    const step = await stepOf(mirror, { base, entry, outcome, merged, before }, { signal, log });
    merged ||= step.kind === 'merged';
    steps.push(step);
  }
  if (plan.tip === start) return { ...unchanged, steps };
  const ref = `${gateRefPrefix(target)}${plan.tip}`;
  await mirror.pushWork(plan.tip, ref);
  return { base, commit: plan.tip, ref, steps };
}

/**
 * Deletes the refs of all composed lines of a branch, when none is needed: those of attempts that died or were
 * cancelled before they could be heard of, too. Best effort.
 */
export async function dropLines(mirror: Mirror, target: string, log: Log | undefined): Promise<void> {
  const below = gateRefPrefix(target);
  try {
    const left = await mirror.listRemoteRefs(below);
    await dropRefs(mirror, [...left.keys()], log);
  } catch (error) {
    log?.warn({ err: error, below }, 'it could not be asked which merged lines are left on the remote');
  }
}

type Judged = {
  base: CommitSha;
  entry: MergeRequest;
  outcome: MergeOutcome;
  /** Whether anything was put on the branch's tip before it. */
  merged: boolean;
  before: Landed;
};

async function stepOf(
  mirror: Mirror,
  { base, entry, outcome, merged, before }: Judged,
  options: { log?: Log | undefined; signal?: AbortSignal | undefined },
): Promise<ComposedStep> {
  const { id } = entry;
  switch (outcome.kind) {
    case 'landed': {
      const where = await before.where(outcome.commit);
      if (where === 'on the branch') return { kind: 'decided', id, outcome };
      return where === 'in the line' ? { kind: 'aside', id } : { kind: 'merged', id, outcome };
    }
    case 'conflicted':
    case 'empty':
    case 'held': {
      if (!merged) return { kind: 'decided', id, outcome };
      const [alone] = (await planBatch(mirror, base, [entry], definedOnly(options))).outcomes;
      if (alone === undefined || alone.kind === 'landed') return { kind: 'aside', id };
      return { kind: 'decided', id, outcome: alone };
    }
    case 'dropped':
    case 'refused':
    case 'ejected':
      return { kind: 'decided', id, outcome };
  }
}

/** Where a commit that a plan calls landed is: the plan stands on what has not landed yet. */
class Landed {
  private readonly mirror: Mirror;
  private readonly base: CommitSha;
  private readonly start: CommitSha;
  private readonly made = new Set<CommitSha>();

  constructor(mirror: Mirror, base: CommitSha, start: CommitSha) {
    this.mirror = mirror;
    this.base = base;
    this.start = start;
  }

  /** A change that comes twice in a line is new once. */
  async where(commit: CommitSha): Promise<'on the branch' | 'in the line' | 'new'> {
    if (this.made.has(commit)) return 'in the line';
    if (await this.contains(this.base, commit)) return 'on the branch';
    if (this.start !== this.base && (await this.contains(this.start, commit))) return 'in the line';
    this.made.add(commit);
    return 'new';
  }

  private async contains(tip: CommitSha, commit: CommitSha): Promise<boolean> {
    return (await this.mirror.git(['merge-base', '--is-ancestor', commit, tip], { ok: [0, 1] })).code === 0;
  }
}

function definedOnly(options: { log?: Log | undefined; signal?: AbortSignal | undefined }) {
  const { log, signal } = options;
  return { ...(log === undefined ? {} : { log }), ...(signal === undefined ? {} : { signal }) };
}
