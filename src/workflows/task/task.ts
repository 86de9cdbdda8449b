/**
 * One unit of work: leases a sandbox, lets an agent work in it, brings the work to the remote, gives the
 * sandbox back, hands off, and sees the branch landed. Never continues as new: an open lease would die.
 */
import { getExternalWorkflowHandle, isCancellation, log, setCurrentDetails, setHandler } from '@temporalio/workflow';
import { metricsOf } from '../../shared/agent-failure.ts';
import { type AgentBrief, AgentMessage, type AgentResult } from '../../shared/contracts/agent-run.ts';
import type { HeldWork } from '../../shared/contracts/held.ts';
import { Verdict } from '../../shared/contracts/people.ts';
import { MergeAnswer, type MergeOutcome } from '../../shared/contracts/merge.ts';
import { LeasedMessage, type SandboxStart } from '../../shared/contracts/sandbox.ts';
import {
  addMetrics,
  type AgentMetrics,
  type BranchOutcome,
  type Handoff,
  type HandoffMessage,
  NO_METRICS,
  TaskInput,
  type TaskResult,
} from '../../shared/contracts/task.ts';
import { reduced, spentOf } from '../../shared/decisions/budget.ts';
import { boundedHandoff, boundedPaths, MAX_HANDOFF_CHARS } from '../../shared/handoff-size.ts';
import { FailureType, failureTypeOf, rootMessage } from '../../shared/failures.ts';
import { agentWorkflowId, conflictAgentWorkflowId, taskName, taskRef } from '../../shared/ids.ts';
import {
  handoffSignal,
  leasedSignal,
  mergeOutcomeSignal,
  messageSignal,
  taskOutcomeSignal,
  verdictSignal,
} from '../../shared/messages.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../../shared/run-text.ts';
import { ownChain } from '../agent/ask.ts';
import { Approval } from '../approval.ts';
import { parseInput, parseSignal } from '../input.ts';
import { heldWork, releasedWork } from './held.ts';
import { Landing } from './landing.ts';
import { queueNames } from '../queues.ts';
import { reasonOf, SandboxWork } from './sandbox-work.ts';

export async function task(raw: TaskInput): Promise<TaskResult> {
  const input = parseInput(TaskInput, raw, 'task');
  return await new Task(input).run();
}

/** Work that is on the remote, with what it is measured against: the parent of its commit. */
type WorkAt = { commit: string; base: string; ref: string };

/** A merge queue carries the requests of all runs through continue-as-new. */
const MAX_BODY_CHARS = 4_000;
const MAX_FILES_CHARS = 10_000;
const MAX_CONFLICTS_TOLD = 10;

type Conflicted = Extract<MergeOutcome, { kind: 'conflicted' }>;

class Task {
  private readonly chain = ownChain();
  private readonly ref: string;
  private readonly landing: Landing;
  private readonly approval: Approval;
  private readonly input: TaskInput;
  private readonly work: SandboxWork;

  constructor(input: TaskInput) {
    this.input = input;
    this.ref = taskRef(input.run.root.workflowId, this.chain.workflowId);
    this.work = new SandboxWork(input, this.chain);
    const { run, task, fix, ancestors } = input;
    this.landing = new Landing({ run, task, fix, chain: this.chain, ancestors });
    this.approval = new Approval({ root: input.run.root, ancestors: input.ancestors });
    setHandler(verdictSignal, (raw) => {
      const verdict = parseSignal(Verdict, raw, 'verdict');
      if (verdict !== undefined) this.approval.answered(verdict);
    });
    setHandler(leasedSignal, async (raw) => {
      const message = parseSignal(LeasedMessage, raw, 'leased');
      if (message !== undefined) await this.work.leased(message);
    });
    setHandler(messageSignal, async (raw) => {
      const message = parseSignal(AgentMessage, raw, 'message');
      if (message !== undefined) await this.work.message(message);
    });
    setHandler(mergeOutcomeSignal, (raw) => {
      const answer = parseSignal(MergeAnswer, raw, 'outcome');
      if (answer !== undefined) this.landing.answered(answer);
    });
  }

  async run(): Promise<TaskResult> {
    try {
      return await this.workAndLand();
    } finally {
      await this.work.givenBack();
    }
  }

  private async workAndLand(): Promise<TaskResult> {
    const { task, attempt, previous, guidance, release } = this.input;
    setCurrentDetails(`**${task.id}** attempt ${attempt}\n\n${task.description}`);
    const start: SandboxStart =
      previous?.commit === undefined
        ? { kind: 'tip' }
        : { kind: 'commit', commit: previous.commit, ref: previous.ref ?? this.ref };
    const brief: AgentBrief = {
      role: 'worker',
      attempt,
      guidance,
      ...(previous === undefined ? {} : { previous: { summary: previous.summary } }),
    };
    const { handoff, base } = release === undefined ? await this.attempt(start, brief) : releasedWork(release);
    const queued = handoff.status === 'complete' && handoff.commit !== undefined;
    // Who approves a merge may take days: the planner is told before.
    const waits = !queued || this.input.run.settings.approvals.includes('merge');
    if (!queued) await this.work.givenBack();
    if (waits) await this.tellHandoff(handoff, queued);
    if (!queued || handoff.commit === undefined || base === undefined) {
      return { handoff, outcome: { kind: 'none' }, conflictMetrics: NO_METRICS, conflicts: 0 };
    }
    const landed = await this.land(handoff, handoff.commit, base, !waits);
    // After its last message nothing of a task is open: a run of the same id may come at once.
    await this.work.givenBack();
    await this.tellOutcome(landed);
    return { handoff, outcome: landed.outcome, conflictMetrics: landed.metrics, conflicts: landed.conflicts };
  }

  /** The agent's work as a handoff; what fails on the way becomes a failed handoff, save a cancellation. */
  private async attempt(start: SandboxStart, brief: AgentBrief): Promise<{ handoff: Handoff; base?: string }> {
    try {
      const work = await this.work.run({
        start,
        brief: (leased) => (leased.startLost === true ? withoutWork(brief) : brief),
        agentId: agentWorkflowId(this.chain.workflowId),
        queue: queueNames().sandbox,
        ref: this.ref,
        keepsFailed: true,
        subject: this.subject(),
        body: (summary) => summary.slice(0, MAX_BODY_CHARS),
        budget: this.input.budget,
      });
      const { collected, base } = work;
      const handoff = {
        ...(work.kind === 'failed' ? this.failed(work.error) : workedOn(work.agent)),
        filesChanged: collected.filesChanged,
        ...(collected.commit === undefined ? {} : { commit: collected.commit }),
      };
      return { base, handoff: boundedHandoff(this.guarded(handoff, base, collected.tamper), MAX_HANDOFF_CHARS) };
    } catch (error) {
      if (isCancellation(error) || failureTypeOf(error) === FailureType.Orphaned) throw error;
      return { handoff: this.failed(error) };
    }
  }

  /** Work that makes tests or checks weaker is held for the planner and people, unless that was asked for. */
  private guarded(handoff: Handoff, base: string, evidence: readonly string[] = []): Handoff {
    const { run, task } = this.input;
    if (evidence.length === 0) return handoff;
    const concerns = [RUN_TEXT.weakened(evidence), ...handoff.concerns];
    const held = run.settings.tamper === 'hold' && task.weakensTests !== true && handoff.status === 'complete';
    if (!held) return { ...handoff, concerns };
    log.warn('work is held: it makes tests or checks weaker', { task: task.id, evidence });
    const summary = `${RUN_TEXT.heldForTests(evidence)}\n\n${handoff.summary}`;
    const { commit } = handoff;
    const work = commit === undefined ? {} : { held: heldWork('tamper', { commit, base, ref: this.ref }, handoff) };
    return { ...handoff, status: 'blocked', summary, concerns, ...work };
  }

  private failed(error: unknown): Handoff {
    const reason = reasonOf(error);
    const metrics = metricsOf(error);
    log.error('task failed', { task: this.input.task.id, reason });
    return {
      status: 'failed',
      summary: `The task could not be worked on: ${reason}`,
      concerns: [reason],
      suggestions: [],
      filesChanged: [],
      metrics: metrics ?? NO_METRICS,
      ...(this.work.agentStarted && metrics === undefined ? { unmeasured: true } : {}),
    };
  }

  /** Queue, wait, resolve conflicts with an agent of their own, until the branch has landed or cannot. */
  private async land(handoff: Handoff, commit: string, base: string, tellsHandoff: boolean) {
    const { settings } = this.input.run;
    let metrics = NO_METRICS;
    let conflicts = 0;
    const body = handoff.summary.slice(0, MAX_BODY_CHARS);
    const { release } = this.input;
    let at: WorkAt = release ?? { commit, base, ref: this.ref };
    for (let attempt = 1; ; attempt++) {
      // Who releases it has looked at this commit, and at none that a conflict makes of it.
      const released = at === release ? { released: release.reason } : {};
      const rejected = at === release ? undefined : await this.rejected(at, attempt, handoff.filesChanged);
      if (rejected !== undefined) return { outcome: rejected, metrics, conflicts };
      const since = at.base === base ? {} : { since: base };
      const held = heldWork('guard', at, handoff, base);
      const final = (outcome: MergeOutcome) => this.final(outcome, held);
      const told = tellsHandoff && attempt === 1;
      const outcome = await this.landing.land({
        ...workAt(at),
        ...since,
        ...released,
        attempt,
        subject: this.subject(),
        body,
        ...(told ? { handoff: { parent: this.input.parent, message: this.handoffMessage(handoff, true) } } : {}),
      });
      if (outcome.kind !== 'conflicted') return { outcome: final(outcome), metrics, conflicts };
      conflicts += 1;
      let resolved: WorkAt | undefined;
      while (resolved === undefined && conflicts <= settings.conflictTries) {
        const tried = await this.resolve(handoff, at, outcome, conflicts, addMetrics(handoff.metrics, metrics));
        metrics = addMetrics(metrics, tried.metrics);
        resolved = tried.resolved;
        if (resolved === undefined) conflicts += 1;
      }
      if (resolved === undefined) {
        return { outcome: final(outcome), metrics, conflicts: Math.min(conflicts, settings.conflictTries) };
      }
      at = resolved;
    }
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
      text: RUN_TEXT.mergeAsked(this.subject(), files),
      commit,
      ref,
    });
    return approved ? undefined : { kind: 'ejected', reason: PLANNER_TEXT.mergeRejected(reason), ref, refused: false };
  }

  /** One try of a conflict agent, in a fresh sandbox with the merge in progress, on a reserved slot. */
  private async resolve(handoff: Handoff, at: WorkAt, conflict: Conflicted, number: number, before: AgentMetrics) {
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
        subject: this.subject(),
        body: (text) =>
          `${handoff.summary.slice(0, MAX_BODY_CHARS / 2)}\n\nConflicts resolved: ${text}`.slice(0, MAX_BODY_CHARS),
        budget: this.input.budget === undefined ? undefined : reduced(this.input.budget, spentOf(before)),
      });
      if (work.kind === 'failed') throw work.error;
      const { agent, collected, base } = work;
      const done = agent.handoff.status === 'complete' && collected.unresolved.length === 0;
      return {
        metrics: agent.metrics,
        resolved: done && collected.commit !== undefined ? { commit: collected.commit, base, ref } : undefined,
      };
    } catch (error) {
      if (isCancellation(error) || failureTypeOf(error) === FailureType.Orphaned) throw error;
      log.warn('a conflict could not be resolved', { task: this.input.task.id, number, reason: rootMessage(error) });
      return { metrics: metricsOf(error) ?? NO_METRICS, resolved: undefined };
    }
  }

  /** @param held what a guard that says no keeps from landing. */
  private final(outcome: MergeOutcome, held: HeldWork): BranchOutcome {
    switch (outcome.kind) {
      case 'landed':
        return {
          kind: 'landed',
          commit: outcome.commit,
          ...(outcome.lost === undefined ? {} : { warning: RUN_TEXT.lost(outcome.lost, outcome.more) }),
        };
      case 'held':
        return {
          kind: 'ejected',
          reason: RUN_TEXT.held(outcome.lost, outcome.more),
          ref: held.ref,
          refused: false,
          held,
        };
      case 'empty':
        return { kind: 'none' };
      case 'conflicted':
        return {
          kind: 'conflicted',
          ...namedFiles(outcome),
          conflicts: outcome.conflicts?.slice(0, MAX_CONFLICTS_TOLD),
          ref: this.ref,
        };
      case 'refused':
        return {
          kind: 'ejected',
          reason: RUN_TEXT.refusal(outcome.reason, outcome.because),
          ref: this.ref,
          // What is wrong with one change does not end the run.
          refused: outcome.because !== 'content',
          ...(outcome.because === 'hook' || outcome.because === 'quota' ? { doubtful: true } : {}),
        };
      case 'dropped':
      case 'ejected':
        return { kind: 'ejected', reason: outcome.reason, ref: this.ref, refused: false };
    }
  }

  private async tellHandoff(handoff: Handoff, queued: boolean): Promise<void> {
    await this.tell(() => this.parent().signal(handoffSignal, this.handoffMessage(handoff, queued)));
  }

  private handoffMessage(handoff: Handoff, queued: boolean): HandoffMessage {
    const { task, attempt } = this.input;
    const id = `${this.chain.firstRunId}/handoff`;
    return { id, sender: this.chain, taskId: task.id, attempt, handoff, queued };
  }

  private async tellOutcome(landed: Awaited<ReturnType<Task['land']>>): Promise<void> {
    const { task, attempt } = this.input;
    const { outcome, metrics: conflictMetrics, conflicts } = landed;
    const id = `${this.chain.firstRunId}/outcome`;
    await this.tell(() =>
      this.parent().signal(taskOutcomeSignal, {
        id,
        sender: this.chain,
        taskId: task.id,
        attempt,
        outcome,
        conflictMetrics,
        conflicts,
      }),
    );
  }

  /** A parent that has closed cannot be told; the result of this workflow says the same. */
  private async tell(send: () => Promise<void>): Promise<void> {
    try {
      await send();
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the parent could not be told', { parent: this.input.parent.workflowId, reason: rootMessage(error) });
    }
  }

  private parent() {
    return getExternalWorkflowHandle(this.input.parent.workflowId);
  }

  private subject(): string {
    const { id, description } = this.input.task;
    const [line = ''] = description.trim().split('\n');
    return `${id}: ${line.length > 100 ? `${line.slice(0, 99)}…` : line}`;
  }
}

function namedFiles({ files, more = 0 }: Conflicted): { files: string[]; more?: number } {
  const named = boundedPaths(files, MAX_FILES_CHARS);
  const others = more + files.length - named.length;
  return { files: named, ...(others === 0 ? {} : { more: others }) };
}

const workAt = ({ commit, base, ref }: WorkAt): WorkAt => ({ commit, base, ref });

/** The agent's handoff with what was measured of it. */
const workedOn = ({ handoff, metrics, checks }: AgentResult) => ({
  ...handoff,
  metrics,
  ...(checks === undefined ? {} : { checks }),
});

/** For an agent that finds the branch as it is, because the commit it should go on from is nowhere any more. */
function withoutWork(brief: AgentBrief): AgentBrief {
  if (brief.role !== 'worker' || brief.previous === undefined) return brief;
  return { ...brief, previous: { ...brief.previous, workLost: true } };
}
