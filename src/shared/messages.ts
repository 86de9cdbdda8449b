/**
 * The messages between workflows, people and workflows. Names on the wire have no suffix; the exported
 * definitions do. Signals go between workflows and carry an id; all that people send is an update.
 */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { Message, SandboxRef, TranscriptRange } from './contracts/agent.ts';
import type { AgentMessage } from './contracts/agent-run.ts';
import type { MergeAnswer, MergeQueueSnapshot, MergeRequest } from './contracts/merge.ts';
import type { LeasedMessage } from './contracts/sandbox.ts';
import type { ModelWait } from './contracts/model-wait.ts';
import type { RunSnapshot } from './contracts/snapshot.ts';
import type { SweptMessage } from './contracts/sweep.ts';
import type { HandoffMessage, OutcomeMessage } from './contracts/task.ts';

/** Task to planner. */
export const handoffSignal = defineSignal<[HandoffMessage]>('handoff');
/** Task to planner. */
export const taskOutcomeSignal = defineSignal<[OutcomeMessage]>('outcome');
/** Merge queue to task. */
export const mergeOutcomeSignal = defineSignal<[MergeAnswer]>('outcome');
/** Task to merge queue. */
export const enqueueSignal = defineSignal<[MergeRequest]>('enqueue');
/** The lease's activity to the task. */
export const leasedSignal = defineSignal<[LeasedMessage]>('leased');
/** Task to its agent: work goes on in this sandbox. */
export const sandboxSignal = defineSignal<[SandboxRef]>('sandbox');

/** Reconciler to planner. */
export const sweptSignal = defineSignal<[SweptMessage]>('swept');

/** Planner to task, task to its agent. */
export const messageSignal = defineSignal<[AgentMessage]>('message');

/** With `task`, a task of this planner's own that is under way: said to its agent, or to its subplanner. */
export const steerUpdate = defineUpdate<string, [{ text: string; task?: string }]>('steer');
/** Of this planner's own tasks one, with all below it. */
export const cancelTaskUpdate = defineUpdate<string, [{ task: string; reason?: string }]>('cancelTask');
/** Begins nothing more; what is under way lands. */
export const finishUpdate = defineUpdate<string, []>('finish');
export const pauseUpdate = defineUpdate<string, [{ reason?: string }]>('pause');
export const resumeUpdate = defineUpdate<string, []>('resume');

/** A worker to the root planner of a run whose calls it makes. */
export const modelWaitSignal = defineSignal<[ModelWait]>('modelWait');

export const snapshotQuery = defineQuery<RunSnapshot>('snapshot');
export const mergeQueueSnapshotQuery = defineQuery<MergeQueueSnapshot>('snapshot');
export const transcriptQuery = defineQuery<Message[], [TranscriptRange?]>('transcript');

/** Workflow types on the wire. */
export const WORKFLOW = {
  planner: 'planner',
  subplanner: 'subplanner',
  task: 'task',
  agent: 'agent',
  mergeQueue: 'mergeQueue',
  reconciler: 'reconciler',
} as const;

/** Key of the root's memo that says since when and why a run is paused; `think` waits while it is set. */
export const PAUSED_MEMO = 'paused';
