/**
 * One unit of work: leases a sandbox, lets an agent work in it, brings the work to the remote, gives the
 * sandbox back, hands off, and sees the branch landed. Never continues as new: an open lease would die.
 * Cancelled, it still hands off, so that its planner counts what its agents have used.
 */
import {
  CancellationScope,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import { usedBefore } from '../../shared/agent/failure.ts';
import { type AgentBrief, AgentMessage, UsedMessage } from '../../shared/contracts/agent-run.ts';
import { ApprovalVerdict } from '../../shared/contracts/people.ts';
import { MergeAnswer } from '../../shared/contracts/merge.ts';
import { LeasedMessage, type SandboxStart } from '../../shared/contracts/sandbox.ts';
import { type Handoff, NO_METRICS, TaskInput, type TaskResult } from '../../shared/contracts/task.ts';
import { subjectOf, bodyOf } from '../../shared/task/commit-text.ts';
import { finishedHandoff, handoffMessage, isToLand, workedOn } from '../../shared/task/handoff.ts';
import { releasedWork } from '../../shared/task/held-work.ts';
import { FailureType, failureTypeOf, rootMessage } from '../../shared/base/failures.ts';
import { agentWorkflowId, taskRef } from '../../shared/base/ids.ts';
import {
  leasedSignal,
  mergeOutcomeSignal,
  messageSignal,
  taskOutcomeSignal,
  usedSignal,
  verdictSignal,
} from '../../shared/messages.ts';
import { RUN_TEXT } from '../../shared/planner/text.ts';
import { ownChain } from '../agent/think.ts';
import { parseInput, parseSignal } from '../support/input.ts';
import type { HandOffRequest } from '../../shared/contracts/activities.ts';
import { handOff } from '../support/hand-off.ts';
import { Branch, type Landed } from './land-branch.ts';
import { queueNames } from '../support/queues.ts';
import { reasonOf, SandboxWork } from './sandbox-work.ts';

export async function task(raw: TaskInput): Promise<TaskResult> {
  const input = parseInput(TaskInput, raw, 'task');
  return await new Task(input).run();
}

class Task {
  private readonly chain = ownChain();
  private readonly ref: string;
  private readonly branch: Branch;
  private readonly input: TaskInput;
  private readonly work: SandboxWork;
  /** Once the agent has ended. */
  private handedOff: { handoff: Handoff; queued: boolean } | undefined;

  constructor(input: TaskInput) {
    this.input = input;
    this.ref = taskRef(input.run.root.workflowId, this.chain.workflowId);
    this.work = new SandboxWork(input, this.chain);
    this.branch = new Branch({ input, chain: this.chain, ref: this.ref, work: this.work });
    setHandler(verdictSignal, (raw) => {
      const verdict = parseSignal(ApprovalVerdict, raw, 'verdict');
      if (verdict !== undefined) this.branch.judged(verdict);
    });
    setHandler(leasedSignal, async (raw) => {
      const message = parseSignal(LeasedMessage, raw, 'leased');
      if (message !== undefined) await this.work.leased(message);
    });
    setHandler(messageSignal, async (raw) => {
      const message = parseSignal(AgentMessage, raw, 'message');
      if (message !== undefined) await this.work.message(message);
    });
    setHandler(usedSignal, (raw) => {
      const message = parseSignal(UsedMessage, raw, 'used');
      if (message !== undefined) this.work.usedBy(message);
    });
    setHandler(mergeOutcomeSignal, (raw) => {
      const answer = parseSignal(MergeAnswer, raw, 'outcome');
      if (answer !== undefined) this.branch.answered(answer);
    });
  }

  async run(): Promise<TaskResult> {
    try {
      return await this.workAndLand();
    } catch (error) {
      if (isCancellation(error)) await CancellationScope.nonCancellable(() => this.tellCancelled(error));
      throw error;
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
    const attempted: Attempted = release === undefined ? await this.attempt(start, brief) : releasedWork(release);
    const { handoff, base } = attempted;
    const queued = isToLand(handoff);
    this.handedOff = { handoff, queued };
    if (!queued || base === undefined) {
      await this.work.givenBack();
      await this.handOff(handoff, queued);
      return { handoff, ...outcomeFields({ outcome: { kind: 'none' }, used: { metrics: NO_METRICS }, conflicts: 0 }) };
    }
    // Who approves a merge may take days: the planner knows of the handoff before.
    const asksPeople = this.input.run.settings.approvals.includes('merge');
    if (asksPeople) await this.handOff(handoff, queued);
    const first = asksPeople ? undefined : this.handOffRequest(handoff, queued);
    const landed = await this.branch.land(handoff, { commit: handoff.commit, base }, first);
    // After its last message nothing of a task is open: a run of the same id may come at once.
    await this.work.givenBack();
    await this.tellOutcome(landed);
    return { handoff, ...outcomeFields(landed) };
  }

  /** What its planner may have heard already is said again: the planner takes each message once. */
  private async tellCancelled(error: unknown): Promise<void> {
    await this.work.givenBack();
    const { handoff, queued } = this.handedOff ?? { handoff: failedHandoff(error, RUN_TEXT.cutOff), queued: false };
    await this.handOff(handoff, queued);
    if (queued) await this.tellOutcome(this.branch.cutOff(RUN_TEXT.cutOffQueued));
  }

  /** The agent's work as a handoff; what fails on the way becomes a failed handoff, save a cancellation. */
  private async attempt(start: SandboxStart, brief: AgentBrief): Promise<Attempted> {
    try {
      const work = await this.work.run({
        start,
        brief: (leased) => (leased.startLost === true ? withoutWork(brief) : brief),
        agentId: agentWorkflowId(this.chain.workflowId),
        queue: queueNames().sandbox,
        ref: this.ref,
        keepsFailed: true,
        subject: subjectOf(this.input.task),
        body: bodyOf,
        budget: this.input.budget,
      });
      const { collected, base } = work;
      const said = work.kind === 'failed' ? this.failed(work.error) : workedOn(work.agent);
      const handoff = finishedHandoff(said, this.input, { ...collected, base, ref: this.ref });
      if (handoff.held !== undefined) {
        const { tamper: evidence } = collected;
        log.warn('work is held: it makes tests or checks weaker', { task: this.input.task.id, evidence });
      }
      return { base, handoff };
    } catch (error) {
      if (isCancellation(error) || failureTypeOf(error) === FailureType.Orphaned) throw error;
      return { handoff: this.failed(error) };
    }
  }

  private failed(error: unknown): Handoff {
    const reason = reasonOf(error);
    log.error('task failed', { task: this.input.task.id, reason });
    return failedHandoff(error, `The task could not be worked on: ${reason}`, [reason]);
  }

  private async handOff(handoff: Handoff, queued: boolean): Promise<void> {
    await handOff(this.handOffRequest(handoff, queued));
  }

  private handOffRequest(handoff: Handoff, queued: boolean): HandOffRequest {
    const { task, attempt, parent } = this.input;
    return { parent, message: handoffMessage({ chain: this.chain, task, attempt }, handoff, queued) };
  }

  /** A parent that has closed cannot hear it; the result of this workflow says the same. */
  private async tellOutcome(landed: Landed): Promise<void> {
    const { task, attempt, parent } = this.input;
    const id = `${this.chain.firstRunId}/outcome`;
    const message = { id, sender: this.chain, taskId: task.id, attempt, ...outcomeFields(landed) };
    try {
      await getExternalWorkflowHandle(parent.workflowId).signal(taskOutcomeSignal, message);
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the outcome could not be delivered', { parent: parent.workflowId, reason: rootMessage(error) });
    }
  }
}

type Attempted = { handoff: Handoff; base?: string };

/** What a planner hears of a branch. */
const outcomeFields = ({ outcome, used: { metrics, estimated }, conflicts }: Landed) => ({
  outcome,
  conflictMetrics: metrics,
  ...(estimated === undefined ? {} : { conflictEstimated: estimated }),
  conflicts,
});

/** Of an attempt that came to nothing: what its agent used is paid all the same. */
const failedHandoff = (error: unknown, summary: string, concerns: string[] = []): Handoff => ({
  status: 'failed',
  summary,
  concerns,
  suggestions: [],
  filesChanged: [],
  // No agent has started where the error does not say.
  ...(usedBefore(error) ?? { metrics: NO_METRICS }),
});

/** For an agent that finds the branch as it is, because the commit it should go on from is nowhere any more. */
function withoutWork(brief: AgentBrief): AgentBrief {
  if (brief.role !== 'worker' || brief.previous === undefined) return brief;
  return { ...brief, previous: { ...brief.previous, workLost: true } };
}
