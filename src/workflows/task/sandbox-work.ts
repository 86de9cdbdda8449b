/** One use of a sandbox by a task: lease, agent, collect, give back. The sandbox is given back whatever happens. */
import {
  CancellationScope,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  patched,
  startChild,
} from '@temporalio/workflow';
import { agentFailure, cancelledAfter, usedBefore } from '../../shared/agent/failure.ts';
import type { Checkpoint } from '../../shared/contracts/agent.ts';
import type { AgentBrief, AgentMessage, AgentResult, UsedMessage } from '../../shared/contracts/agent-run.ts';
import type { Budget } from '../../shared/contracts/budget.ts';
import type { CollectResult, LeasedMessage, SandboxStart } from '../../shared/contracts/sandbox.ts';
import { NO_METRICS, type TaskInput, type Used } from '../../shared/contracts/task.ts';
import { FailureType, failureTypeOf, rootMessage } from '../../shared/base/failures.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { messageSignal, sandboxSignal } from '../../shared/messages.ts';
import type { agent } from '../agent/agent.ts';
import { collectWork } from './collect.ts';
import { Lease, leasedOrThrow } from './sandbox-lease.ts';

/** What a sandbox was used for, with what came out of it; also when the agent itself failed for good. */
export type Work = { collected: CollectResult; base: string } & (
  | { kind: 'done'; agent: AgentResult }
  | { kind: 'failed'; error: unknown }
);

/** What a sandbox is leased for. */
export type WorkPlan = {
  start: SandboxStart;
  brief: (leased: LeasedMessage) => AgentBrief;
  agentId: string;
  /** Whose slots the lease takes. */
  queue: string;
  /** Where the work is kept on the remote. */
  ref: string;
  /** Whether what an agent leaves that failed for good is worth keeping. */
  keepsFailed: boolean;
  /** The commit's first line, and its text behind it, from the agent's summary. */
  subject: string;
  body: (summary: string) => string;
  /** What the agent may spend; undefined where nothing is limited. */
  budget: Budget | undefined;
};

/** For the work of an agent that failed: best effort, as whatever it failed for may be in the way here too. */
const SALVAGE_TIMEOUT = '5m';
const MAX_REASON_CHARS = 2_000;

export class SandboxWork {
  private readonly input: TaskInput;
  private readonly chain: Chain;
  private lease: Lease | undefined;
  private releasing: Promise<void> | undefined;
  private epoch = 0;
  private readonly said: AgentMessage[] = [];
  private agentId: string | undefined;
  /** By agent, as far as it is known. A word may come together with the news that its agent has started, and first. */
  private readonly used = new Map<string, Used>();

  constructor(input: TaskInput, chain: Chain) {
    this.input = input;
    this.chain = chain;
  }

  /** The signal `leased`. */
  async leased(message: LeasedMessage): Promise<void> {
    await this.lease?.leased(message);
  }

  /** The signal `used`. */
  usedBy({ sender, used }: UsedMessage): void {
    this.used.set(sender.workflowId, used);
  }

  /** Resolves when no lease is open any more. */
  async givenBack(): Promise<void> {
    await this.releasing;
  }

  /**
   * Does not wait until the sandbox is given back: what comes of the work need not, and the next lease does.
   * Throws what kept the work from being done, save the failure of an agent whose work could be collected. Once an
   * agent has started, the error says what it has used (`usedBefore`).
   */
  async run(plan: WorkPlan): Promise<Work> {
    const { run, task, ancestors } = this.input;
    const { start, queue } = plan;
    await this.givenBack();
    const lease = new Lease({
      request: { run, holder: this.chain, ancestors, start },
      queue,
      priority: task.priority,
      epoch: this.epoch,
      onLeased: (leased) => this.moved(leased),
    });
    this.lease = lease;
    lease.open();
    try {
      const leased = leasedOrThrow(await lease.ready());
      let agent: AgentResult;
      try {
        agent = await this.runAgent(plan, leased, lease);
      } catch (error) {
        const collected = await this.salvage(lease, plan, error);
        if (collected === undefined) throw error;
        return {
          kind: 'failed',
          error: afterUse(error, this.used.get(plan.agentId)),
          collected,
          base: collected.base ?? leased.base,
        };
      }
      const { checkpoint, handoff, metrics } = agent;
      this.used.set(plan.agentId, { metrics });
      const collected = await this.collect(lease, textsOf(plan, handoff.summary, checkpoint));
      return { kind: 'done', agent, collected, base: collected.base ?? leased.base };
    } catch (error) {
      throw this.agentId === undefined ? error : afterUse(error, this.used.get(plan.agentId));
    } finally {
      this.agentId = undefined;
      this.epoch = lease.lastEpoch;
      this.lease = undefined;
      this.releasing = lease.release();
      // Whoever waits for it meets its failure.
      this.releasing.catch(() => undefined);
    }
  }

  private async runAgent(plan: WorkPlan, leased: LeasedMessage, lease: Lease): Promise<AgentResult> {
    const { run, task, ancestors } = this.input;
    const { agentId: workflowId, ref } = plan;
    const brief = plan.brief(leased);
    const { sandbox } = leased;
    const scope = new CancellationScope();
    // Not cancelled as a child, which names its first run only: one that has continued as new would not hear of it.
    const running = CancellationScope.nonCancellable(async () => {
      const child = await startChild<typeof agent>('agent', {
        workflowId,
        args: [
          {
            run,
            task,
            ancestors: [...ancestors, this.chain],
            brief,
            sandbox,
            ref,
            ...(plan.budget === undefined ? {} : { budget: plan.budget }),
          },
        ],
        parentClosePolicy: 'REQUEST_CANCEL',
        staticSummary: `${brief.role} of ${task.id}`,
      });
      // A signal to a workflow that does not exist yet is lost: what moved meanwhile is told now.
      this.agentId = workflowId;
      for (const message of this.said.splice(0)) await this.message(message);
      if (lease.current !== undefined && lease.current.sandbox.epoch > sandbox.epoch) await this.moved(lease.current);
      let works = true;
      scope.cancelRequested.catch(() => (works ? this.cancelAgent(workflowId) : undefined));
      try {
        return await child.result();
      } finally {
        works = false;
      }
    });
    // A lease that cannot be had again ends the agent; one that moves is told to it by `moved`.
    const stopWith = (end: NonNullable<Lease['end']>) => {
      if (end.kind !== 'released') scope.cancel();
    };
    void lease.whenEnded().then(stopWith, () => undefined);
    try {
      return await running;
    } catch (error) {
      const used = usedBefore(error);
      if (used !== undefined) this.used.set(workflowId, used);
      if (lease.end !== undefined && lease.end.kind !== 'released') leasedOrThrow(lease.end);
      throw error;
    }
  }

  private async collect(lease: Lease, what: ReturnType<typeof textsOf>): Promise<CollectResult> {
    return await collectWork(lease, { ...this.input, chain: this.chain }, what);
  }

  private async cancelAgent(workflowId: string): Promise<void> {
    try {
      await getExternalWorkflowHandle(workflowId).cancel();
    } catch (error) {
      log.info('the agent had ended before it was cancelled', { agent: workflowId, reason: rootMessage(error) });
    }
  }

  /** What an agent that failed for good has left in its sandbox, so that a retry goes on from there. */
  private async salvage(lease: Lease, plan: WorkPlan, error: unknown): Promise<CollectResult | undefined> {
    const { task } = this.input;
    if (!plan.keepsFailed || lease.end !== undefined || isCancellation(error)) return undefined;
    if (failureTypeOf(error) === FailureType.Orphaned || !patched('salvage')) return undefined;
    try {
      return await CancellationScope.withTimeout(SALVAGE_TIMEOUT, () =>
        this.collect(lease, textsOf(plan, `Unfinished: ${reasonOf(error)}`)),
      );
    } catch (reason) {
      log.warn('the work of a failed agent could not be collected', { task: task.id, reason: rootMessage(reason) });
      return undefined;
    }
  }

  /** The signal `message`: told to the agent that works now, or to the one that is started next. */
  async message(message: AgentMessage): Promise<void> {
    if (this.agentId === undefined) {
      this.said.push(message);
      return;
    }
    try {
      await getExternalWorkflowHandle(this.agentId).signal(messageSignal, message);
    } catch (error) {
      log.info('the agent had ended before it was told what a person said', { reason: rootMessage(error) });
    }
  }

  private async moved(leased: LeasedMessage): Promise<void> {
    if (this.agentId === undefined) return;
    try {
      await getExternalWorkflowHandle(this.agentId).signal(sandboxSignal, leased.sandbox);
    } catch (error) {
      log.info('the agent had ended before it was told of its sandbox', { reason: rootMessage(error) });
    }
  }
}

/** What of a plan its commit is made of. */
const textsOf = ({ ref, subject, body }: WorkPlan, summary: string, restore?: Checkpoint) => ({
  ref,
  subject,
  body: body(summary),
  ...(restore === undefined ? {} : { restore }),
});

/** The same failure or cancellation, with what an agent had used before it: nothing is known of one that did not say. */
function afterUse(error: unknown, used: Used | undefined): Error {
  const known = used ?? usedBefore(error) ?? { metrics: NO_METRICS, estimated: {} };
  if (isCancellation(error)) return cancelledAfter(error, known);
  return agentFailure(error, known.metrics, known.estimated);
}

export const reasonOf = (error: unknown): string => rootMessage(error).slice(0, MAX_REASON_CHARS);
