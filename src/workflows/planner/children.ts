/**
 * The workflows that a planner starts for its tasks: starts them, asks after them, tells them things, cancels them.
 * They are abandoned on purpose (a close policy would fire on continue-as-new too), so each is cancelled by itself.
 */
import {
  getExternalWorkflowHandle,
  isCancellation,
  log,
  ParentClosePolicy,
  sleep,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import type { ChainStatus } from '../../shared/contracts/activities.ts';
import type { Control } from '../../shared/contracts/people.ts';
import { isDivided } from '../../shared/planner/division.ts';
import { isAtOrBelow } from '../../shared/planner/stuck.ts';
import { RUN_TEXT } from '../../shared/planner/text.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { type Chain, taskWorkflowId } from '../../shared/base/ids.ts';
import { controlSignal, messageSignal, WORKFLOW } from '../../shared/messages.ts';
import { runActivities, watchActivities } from '../support/activity-policies.ts';
import type { Position } from './position.ts';
import type { PlannerState } from './state/planner-state.ts';
import type { task } from '../task/task.ts';
import { silentTasks, type TaskRecord } from './state/task-record.ts';

/** Ended children may answer with a handoff each: few enough for one activity's result. */
const ASKED_AT_ONCE = 20;
/** What a division has left to hand up when its own tasks are at the end of their time. */
const LEVEL_MS = 15_000;

export class Children {
  private readonly chain: Chain;
  private readonly position: Position;
  private readonly endsStuck: boolean;
  /** A child ended without a word; not called once this run has ended. */
  private readonly onFailed: (taskId: string, child: Chain, reason: string) => void;
  private messages = 0;

  constructor(options: { chain: Chain; position: Position; endsStuck: boolean; onFailed: Children['onFailed'] }) {
    this.chain = options.chain;
    this.position = options.position;
    this.endsStuck = options.endsStuck;
    this.onFailed = options.onFailed;
  }

  /** Starts an attempt of a task; the state is told whether that worked. Throws nothing but cancellations. */
  async start(state: PlannerState, record: TaskRecord): Promise<void> {
    const { spec, attempt, outcome } = record;
    const { number, previous } = attempt;
    const budget = state.dispatch.shareOf(record);
    const { context, above, spec: source } = this.position;
    const release =
      outcome.heldWork === undefined || attempt.release === undefined
        ? undefined
        : { ...outcome.heldWork, reason: attempt.release };
    const divided =
      release === undefined && record.direct !== true && isDivided(spec, above.length, context.settings.division);
    try {
      const child = await startChild<typeof task>(divided ? WORKFLOW.subplanner : WORKFLOW.task, {
        workflowId: taskWorkflowId(this.chain.workflowId, spec.id, number),
        args: [
          {
            run: { ...context, settings: { ...context.settings, ...state.limits.tuned } },
            task: spec,
            attempt: number,
            parent: this.chain,
            ancestors: [...above, this.chain],
            guidance: [...state.plan.guidance],
            ...(previous === undefined ? {} : { previous }),
            ...(budget === undefined ? {} : { budget }),
            ...(record.fix === true ? { fix: true } : {}),
            ...(release === undefined ? {} : { release }),
            ...(divided ? { spec: source } : {}),
          },
        ],
        parentClosePolicy: ParentClosePolicy.ABANDON,
        priority: { priorityKey: Math.ceil(spec.priority / 2) },
        staticSummary: `${spec.id} (attempt ${number})`,
      });
      const chain = { workflowId: child.workflowId, firstRunId: child.firstExecutionRunId };
      state.events.started(spec.id, chain, divided);
      // What fails without a word is known at once while this run lasts; after a continue-as-new it is asked after.
      void child.result().then(
        () => undefined,
        (error: unknown) => {
          state.cancelled.ended(chain);
          this.onFailed(spec.id, chain, rootMessage(error));
        },
      );
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('a task could not be started', { task: spec.id, attempt: number, reason: rootMessage(error) });
      state.events.notStarted(spec.id, rootMessage(error));
      return;
    }
    if (record.attempt.givenUp !== undefined) await quietly(this.giveUp(record.attempt));
  }

  /** Asks the server after tasks that said nothing for so long, and after cancelled ones. Returns whether it did. */
  async askAfterSilent(state: PlannerState, silenceMs: number): Promise<boolean> {
    const silent = silentTasks(state.tasks, Date.now() - silenceMs);
    for (let from = 0; from < silent.length; from += ASKED_AT_ONCE) {
      const asked = silent.slice(from, from + ASKED_AT_ONCE);
      try {
        const standings = await runActivities.describeChains({ chains: asked.map(({ child }) => child) });
        for (const [i, { id, child }] of asked.entries()) {
          const standing = standings[i];
          if (standing !== undefined) state.events.found(id, child, standing, Date.now());
        }
      } catch (error) {
        if (isCancellation(error)) throw error;
        log.warn('tasks that are silent could not be asked after', { reason: rootMessage(error) });
      }
    }
    const cancelled = [...state.cancelled.chains];
    if (cancelled.length > 0) {
      const running = await this.stillRunning(cancelled);
      for (const chain of cancelled) if (!running.includes(chain)) state.cancelled.ended(chain);
      if (this.endsStuck && running.length > 0) {
        await this.endStuck(running);
        const overdue = state.cancelled.overdue(Date.now());
        if (overdue.length > 0) await this.terminate(overdue);
      }
    }
    return silent.length + cancelled.length > 0;
  }

  /** Cancels these and waits until they have ended, for two minutes at most; then they are terminated. */
  async end(children: Chain[]): Promise<void> {
    let open = children;
    for (let checks = 0; open.length > 0 && checks < 60; checks++) {
      if (checks % 10 === 0) await Promise.all(open.map((child) => this.cancel(child)));
      await sleep(2_000);
      open = await this.stillRunning(open);
      if (!this.endsStuck || open.length === 0) continue;
      if (checks % 5 === 4) await this.endStuck(open);
      if (checks === 30) await this.terminate(open);
    }
    if (open.length > 0) log.warn('tasks did not end in time', { tasks: open.map(({ workflowId }) => workflowId) });
  }

  /** Terminates what cannot go on at or below these, which are to end: it does not hear that it is cancelled. */
  private async endStuck(chains: readonly Chain[]): Promise<void> {
    const { workflowId: run } = this.chain;
    try {
      const closely = chains.map(({ workflowId }) => workflowId);
      const root = workflowInfo().root?.workflowId ?? run;
      const { stuck } = await watchActivities.findStuck({ root, run, known: [], closely });
      const runs = stuck.filter(({ workflowId }) => closely.some((above) => isAtOrBelow(workflowId, above)));
      if (runs.length === 0) return;
      for (const { workflowId, attempts, reason } of runs)
        log.warn('a cancelled workflow cannot go on and is terminated', { workflow: workflowId, attempts, reason });
      await watchActivities.endWorkflows({
        runs: runs.map(({ workflowId, runId }) => ({ workflowId, runId })),
        below: [],
        reason: RUN_TEXT.endedAsStuck,
      });
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('what cannot go on could not be ended', { reason: rootMessage(error) });
    }
  }

  /** With all that is below them. */
  private async terminate(chains: Chain[]): Promise<void> {
    try {
      for (const { workflowId } of chains) log.warn(RUN_TEXT.neverEnded(workflowId));
      await watchActivities.endWorkflows({ runs: [], below: chains, reason: RUN_TEXT.endedLate });
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('what did not end in time could not be terminated', { reason: rootMessage(error) });
    }
  }

  async cancel(child: Chain): Promise<void> {
    try {
      await getExternalWorkflowHandle(child.workflowId).cancel();
    } catch (error) {
      log.info('a task had ended before it was cancelled', { task: child.workflowId, reason: rootMessage(error) });
    }
  }

  /** To a task's agent, or to its subplanner. Throws when it has ended; so do the next two. */
  async tell(child: Chain, text: string): Promise<void> {
    await this.message(child, { text });
  }

  /** A task that was given up: its agent, or all below it, has to hand off what there is. */
  async giveUp({ child, givenUp, lent }: TaskRecord['attempt']): Promise<void> {
    if (child === undefined || givenUp === undefined) return;
    const { reason, until } = givenUp;
    // Those below end first, so that there is something to hand up.
    if (lent !== undefined) await this.control(child, { kind: 'cancel', reason, until: until - LEVEL_MS });
    else await this.message(child, { text: '', handOff: true });
  }

  /** To a subplanner. */
  async control(child: Chain, control: Control): Promise<void> {
    await getExternalWorkflowHandle(child.workflowId).signal(controlSignal, control);
  }

  private async message(child: Chain, message: { text: string; handOff?: boolean }): Promise<void> {
    this.messages += 1;
    const id = `${workflowInfo().runId}/message-${this.messages}`;
    await getExternalWorkflowHandle(child.workflowId).signal(messageSignal, { id, ...message });
  }

  private async stillRunning(chains: Chain[]): Promise<Chain[]> {
    try {
      const standings: ChainStatus[] = [];
      for (let from = 0; from < chains.length; from += ASKED_AT_ONCE) {
        const asked = chains.slice(from, from + ASKED_AT_ONCE);
        standings.push(...(await runActivities.describeChains({ chains: asked })));
      }
      return chains.filter((_, i) => standings[i]?.kind === 'running');
    } catch (error) {
      log.warn('tasks that are to end could not be asked after', { reason: rootMessage(error) });
      return chains;
    }
  }
}

/** A child that has ended needs telling nothing. */
export async function quietly(telling: Promise<void> | undefined): Promise<void> {
  try {
    await telling;
  } catch (error) {
    if (!isCancellation(error)) log.info('a task had ended before it was told', { reason: rootMessage(error) });
  }
}
