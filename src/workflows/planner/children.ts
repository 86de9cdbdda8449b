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
import { isDivided } from '../../shared/decisions/division.ts';
import { isAtOrBelow } from '../../shared/decisions/stuck.ts';
import { rootMessage } from '../../shared/failures.ts';
import { type Chain, taskWorkflowId } from '../../shared/ids.ts';
import { controlSignal, messageSignal, WORKFLOW } from '../../shared/messages.ts';
import { RUN_TEXT } from '../../shared/run-text.ts';
import { runActivities, watchActivities } from '../activities.ts';
import type { Place } from './place.ts';
import type { PlannerState } from './state.ts';
import type { task } from '../task/task.ts';
import { silentTasks, type TaskRecord } from './tasks/records.ts';

/** Ended children may answer with a handoff each: few enough for one activity's result. */
const ASKED_AT_ONCE = 20;
/** What a division has left to hand up when its own tasks are at the end of their time. */
const LEVEL_MS = 15_000;

export class Children {
  private readonly chain: Chain;
  private readonly place: Place;
  private readonly endsStuck: boolean;
  /** A child ended without a word; not called once this run has ended. */
  private readonly onFailed: (taskId: string, child: Chain, reason: string) => void;
  private messages = 0;

  constructor(options: { chain: Chain; place: Place; endsStuck: boolean; onFailed: Children['onFailed'] }) {
    this.chain = options.chain;
    this.place = options.place;
    this.endsStuck = options.endsStuck;
    this.onFailed = options.onFailed;
  }

  /** Starts an attempt of a task; the state is told whether that worked. Throws nothing but cancellations. */
  async start(state: PlannerState, record: TaskRecord): Promise<void> {
    const { spec, attempt, previous, heldWork, released } = record;
    const budget = state.shareOf(record);
    const { context, above, spec: source } = this.place;
    const release = heldWork === undefined || released === undefined ? undefined : { ...heldWork, reason: released };
    const divided =
      release === undefined && record.direct !== true && isDivided(spec, above.length, context.settings.division);
    try {
      const child = await startChild<typeof task>(divided ? WORKFLOW.subplanner : WORKFLOW.task, {
        workflowId: taskWorkflowId(this.chain.workflowId, spec.id, attempt),
        args: [
          {
            run: { ...context, settings: { ...context.settings, ...state.tuned } },
            task: spec,
            attempt,
            parent: this.chain,
            ancestors: [...above, this.chain],
            guidance: [...state.guidance],
            ...(previous === undefined ? {} : { previous }),
            ...(budget === undefined ? {} : { budget }),
            ...(record.fix === true ? { fix: true } : {}),
            ...(release === undefined ? {} : { release }),
            ...(divided ? { spec: source } : {}),
          },
        ],
        parentClosePolicy: ParentClosePolicy.ABANDON,
        priority: { priorityKey: Math.ceil(spec.priority / 2) },
        staticSummary: `${spec.id} (attempt ${attempt})`,
      });
      const chain = { workflowId: child.workflowId, firstRunId: child.firstExecutionRunId };
      state.started(spec.id, chain, divided);
      // What fails without a word is known at once while this run lasts; after a continue-as-new it is asked after.
      void child.result().then(
        () => undefined,
        (error: unknown) => {
          state.wound(chain);
          this.onFailed(spec.id, chain, rootMessage(error));
        },
      );
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('a task could not be started', { task: spec.id, attempt, reason: rootMessage(error) });
      state.notStarted(spec.id, rootMessage(error));
      return;
    }
    if (record.givenUp !== undefined) await quietly(this.giveUp(record));
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
          if (standing !== undefined) state.found(id, child, standing, Date.now());
        }
      } catch (error) {
        if (isCancellation(error)) throw error;
        log.warn('tasks that are silent could not be asked after', { reason: rootMessage(error) });
      }
    }
    const winding = [...state.winding];
    if (winding.length > 0) {
      const still = await this.stillRunning(winding);
      for (const chain of winding) if (!still.includes(chain)) state.wound(chain);
      if (this.endsStuck && still.length > 0) {
        await this.endStuck(still);
        const overdue = state.overdueWinding(Date.now());
        if (overdue.length > 0) await this.terminate(overdue);
      }
    }
    return silent.length + winding.length > 0;
  }

  /** Cancels these and waits until they have ended, for two minutes at most; then they are terminated. */
  async end(children: Chain[]): Promise<void> {
    let open = children;
    for (let looks = 0; open.length > 0 && looks < 60; looks++) {
      if (looks % 10 === 0) await Promise.all(open.map((child) => this.cancel(child)));
      await sleep(2_000);
      open = await this.stillRunning(open);
      if (!this.endsStuck || open.length === 0) continue;
      if (looks % 5 === 4) await this.endStuck(open);
      if (looks === 30) await this.terminate(open);
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
  async giveUp({ child, givenUp, divided }: Pick<TaskRecord, 'child' | 'givenUp' | 'divided'>): Promise<void> {
    if (child === undefined || givenUp === undefined) return;
    const { reason, until } = givenUp;
    // Those below end first, so that there is something to hand up.
    if (divided === true) await this.control(child, { kind: 'cancel', reason, until: until - LEVEL_MS });
    else await this.message(child, { text: '', handOff: true });
  }

  /** To a subplanner. */
  async control(child: Chain, control: Control): Promise<void> {
    await getExternalWorkflowHandle(child.workflowId).signal(controlSignal, control);
  }

  private async message(child: Chain, said: { text: string; handOff?: boolean }): Promise<void> {
    this.messages += 1;
    const id = `${workflowInfo().runId}/message-${this.messages}`;
    await getExternalWorkflowHandle(child.workflowId).signal(messageSignal, { id, ...said });
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
