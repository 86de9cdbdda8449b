/** A task's branch, from its commit on the remote to its end: approved, queued, its conflicts resolved by agents. */
import { isCancellation, log } from '@temporalio/workflow';
import { usedBefore } from '../../shared/agent/failure.ts';
import type { HandOffRequest } from '../../shared/contracts/activities.ts';
import { bodyOf, subjectOf } from '../../shared/task/commit-text.ts';
import type { MergeAnswer, MergeOutcome } from '../../shared/contracts/merge.ts';
import type { ApprovalVerdict } from '../../shared/contracts/people.ts';
import {
  type BranchOutcome,
  type Handoff,
  NO_METRICS,
  type TaskInput,
  type Used,
} from '../../shared/contracts/task.ts';
import { heldWork } from '../../shared/task/held-work.ts';
import { addUsed, leftBy } from '../../shared/planner/budget.ts';
import { FailureType, failureTypeOf, rootMessage } from '../../shared/base/failures.ts';
import { boundedPaths } from '../../shared/task/handoff-size.ts';
import { type Chain, conflictAgentWorkflowId, taskName } from '../../shared/base/ids.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../../shared/planner/text.ts';
import { Approval } from '../support/approval.ts';
import { queueNames } from '../support/queues.ts';
import { fateOf, fateOfLanded, heldAsWeaker, landedWeaker, MAX_FILES_CHARS } from './fate.ts';
import { Landing } from './landing.ts';
import type { SandboxWork } from './sandbox-work.ts';

/** Work that is on the remote, with what it is measured against: the parent of its commit. */
type WorkAt = { commit: string; base: string; ref: string };

/** `used` by conflict agents. */
export type Landed = { outcome: BranchOutcome; used: Used; conflicts: number };

type Conflicted = Extract<MergeOutcome, { kind: 'conflicted' }>;

/** `weaker`: what of it makes tests or checks weaker than the branch has them. */
type Resolved = { at: WorkAt; weaker: readonly string[] };

export class Branch {
  private readonly input: TaskInput;
  private readonly chain: Chain;
  private readonly ref: string;
  private readonly work: SandboxWork;
  private readonly landing: Landing;
  private readonly approval: Approval;
  private readonly subject: string;
  private used: Used = { metrics: NO_METRICS };
  private conflicts = 0;
  private fate: Landed | undefined;

  constructor({ input, chain, ref, work }: { input: TaskInput; chain: Chain; ref: string; work: SandboxWork }) {
    this.input = input;
    this.chain = chain;
    this.ref = ref;
    this.work = work;
    this.subject = subjectOf(input.task);
    const { run, task, fix, ancestors } = input;
    this.landing = new Landing({ run, task, fix, chain, ancestors });
    this.approval = new Approval({ root: run.root, ancestors });
  }

  /** The signal `verdict`. */
  judged(verdict: ApprovalVerdict): void {
    this.approval.answered(verdict);
  }

  /** The signal `outcome` of a merge queue. */
  answered(answer: MergeAnswer): void {
    this.landing.answered(answer);
  }

  /**
   * Queue, wait, resolve conflicts with an agent of their own, until the branch has landed or cannot.
   * @param handOff goes out with the first request, where the planner has not been told of the handoff yet.
   */
  async land(
    handoff: Handoff,
    { commit, base }: Pick<WorkAt, 'commit' | 'base'>,
    handOff?: Omit<HandOffRequest, 'merge'>,
  ): Promise<Landed> {
    const { settings } = this.input.run;
    const body = bodyOf(handoff.summary);
    const { release } = this.input;
    let at: WorkAt = release ?? { commit, base, ref: this.ref };
    let weaker: readonly string[] = [];
    for (let attempt = 1; ; attempt++) {
      // Who releases it has looked at this commit, and at none that a conflict makes of it.
      const released = at === release ? { released: release.reason } : {};
      const rejected = at === release ? undefined : await this.rejected(at, attempt, handoff.filesChanged);
      if (rejected !== undefined) return this.ended(rejected);
      const since = at.base === base ? {} : { since: base };
      const held = heldWork('guard', at, handoff, base);
      const outcome = await this.landing.land(
        { ...workAt(at), ...since, ...released, attempt, subject: this.subject, body },
        attempt === 1 ? handOff : undefined,
      );
      const fate = landedWeaker(fateOf(outcome, held, this.ref), weaker);
      if (outcome.kind !== 'conflicted') return this.ended(fate);
      this.conflicts += 1;
      let resolved: Resolved | undefined;
      while (resolved === undefined && this.conflicts <= settings.conflictTries) {
        resolved = await this.resolve(handoff, at, outcome, this.conflicts);
        if (resolved === undefined) this.conflicts += 1;
      }
      if (resolved === undefined) return this.ended(fate);
      ({ at, weaker } = resolved);
      if (weaker.length > 0 && settings.tamper === 'hold')
        return this.ended(heldAsWeaker(weaker, heldWork('tamper', at, handoff, base)));
    }
  }

  /** What is told of it when its task ends before it: it may be known already, or that it has landed. */
  cutOff(reason: string): Landed {
    const { landed } = this.landing;
    if (this.fate === undefined && landed !== undefined) return this.ended(fateOfLanded(landed));
    return this.fate ?? this.ended({ kind: 'ejected', reason, ref: this.ref, refused: false });
  }

  private ended(outcome: BranchOutcome): Landed {
    const conflicts = Math.min(this.conflicts, this.input.run.settings.conflictTries);
    this.fate = { outcome, used: this.used, conflicts };
    return this.fate;
  }

  /** Where people approve what is merged: what becomes of this commit when they do not. */
  private async rejected(
    { commit, ref }: WorkAt,
    attempt: number,
    files: string[],
  ): Promise<BranchOutcome | undefined> {
    const { root, settings } = this.input.run;
    if (!settings.approvals.includes('merge')) return undefined;
    const { approved, reason } = await this.approval.of({
      id: `${this.chain.firstRunId}/merge-${attempt}`,
      sender: this.chain,
      name: taskName(root.workflowId, this.chain.workflowId),
      kind: 'merge',
      text: RUN_TEXT.mergeAsked(this.subject, files),
      commit,
      ref,
    });
    return approved ? undefined : { kind: 'ejected', reason: PLANNER_TEXT.mergeRejected(reason), ref, refused: false };
  }

  /** One try of a conflict agent, in a fresh sandbox with the merge in progress, on a reserved slot. */
  private async resolve(
    handoff: Handoff,
    at: WorkAt,
    conflict: Conflicted,
    number: number,
  ): Promise<Resolved | undefined> {
    const files = boundedPaths(conflict.files, MAX_FILES_CHARS);
    const { conflicts } = conflict;
    // A ref of its own: a try that fails must not replace the work that it was to save.
    const ref = `${this.ref}.conflict-${number}`;
    try {
      const work = await this.work.run({
        start: { kind: 'merge', theirs: at.commit, ref: at.ref },
        brief: (leased) => ({ role: 'conflict', handoff, base: at.base, tip: leased.base, files, conflicts }),
        agentId: conflictAgentWorkflowId(this.chain.workflowId, number),
        queue: queueNames().reserved,
        ref,
        keepsFailed: false,
        subject: this.subject,
        body: (text) => bodyOf(`${bodyOf(handoff.summary, 0.5)}\n\nConflicts resolved: ${text}`),
        budget: this.input.budget === undefined ? undefined : leftBy(addUsed(handoff, this.used), this.input.budget),
      });
      if (work.kind === 'failed') throw work.error;
      const { agent, collected, base } = work;
      this.used = addUsed(this.used, { metrics: agent.metrics });
      const done = agent.handoff.status === 'complete' && collected.unresolved.length === 0;
      if (!done || collected.commit === undefined) return undefined;
      const weaker = this.weakerThanTold(collected.tamper, handoff);
      if (weaker.length > 0)
        log.warn('a conflict is resolved with weaker tests or checks', { task: this.input.task.id, number, weaker });
      return { at: { commit: collected.commit, base, ref }, weaker };
    } catch (error) {
      const used = usedBefore(error);
      if (used !== undefined) this.used = addUsed(this.used, used);
      if (isCancellation(error) || failureTypeOf(error) === FailureType.Orphaned) throw error;
      log.warn('a conflict could not be resolved', { task: this.input.task.id, number, reason: rootMessage(error) });
      return undefined;
    }
  }

  /** Whoever resolves a conflict is to keep the tests of both sides, save what the task itself is known to change. */
  private weakerThanTold(evidence: readonly string[] = [], { concerns }: Handoff): string[] {
    if (this.input.task.weakensTests === true) return [];
    return evidence.filter((line) => !concerns.some((concern) => concern.includes(line)));
  }
}

const workAt = ({ commit, base, ref }: WorkAt): WorkAt => ({ commit, base, ref });
