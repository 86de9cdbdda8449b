/**
 * The messages between workflows, people and workflows. Names on the wire have no suffix; the exported
 * definitions do. Signals go between workflows and carry an id; all that people send is an update.
 */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { Message, SandboxRef, TranscriptRange } from './contracts/agent.ts';
import type { AgentMessage, UsedMessage } from './contracts/agent-run.ts';
import type { BranchHealth } from './contracts/gate.ts';
import type { MergeAnswer, MergeQueueSnapshot, MergeRequest } from './contracts/merge.ts';
import type {
  AddTask,
  ApprovalRequest,
  Approve,
  CancelRun,
  CancelTask,
  Control,
  Pause,
  Reject,
  ReleaseTask,
  RetryTask,
  SetLimits,
  Steer,
  ApprovalVerdict,
} from './contracts/people.ts';
import type { LeasedMessage } from './contracts/sandbox.ts';
import type { ModelWait } from './contracts/model-wait.ts';
import type { RunSnapshot } from './contracts/snapshot.ts';
import type { SweptMessage } from './contracts/sweep.ts';
import type { HandoffMessage, OutcomeMessage } from './contracts/task.ts';
import type { WorkersReport } from './contracts/workers.ts';

/** Task to planner. */
export const handoffSignal = defineSignal<[HandoffMessage]>('handoff');
/** Task to planner. */
export const taskOutcomeSignal = defineSignal<[OutcomeMessage]>('outcome');
/** Merge queue to task. */
export const mergeOutcomeSignal = defineSignal<[MergeAnswer]>('outcome');
/** Task to merge queue. */
export const enqueueSignal = defineSignal<[MergeRequest]>('enqueue');
/** A sweep to the merge queue, through an activity: whether the branch passes its checks. */
export const healthSignal = defineSignal<[BranchHealth]>('health');
/** The lease's activity to the task. */
export const leasedSignal = defineSignal<[LeasedMessage]>('leased');
/** Task to its agent: work goes on in this sandbox. */
export const sandboxSignal = defineSignal<[SandboxRef]>('sandbox');

/** Agent to its task. */
export const usedSignal = defineSignal<[UsedMessage]>('used');

/** Reconciler to planner. */
export const sweptSignal = defineSignal<[SweptMessage]>('swept');

/** Planner to task, task to its agent. */
export const messageSignal = defineSignal<[AgentMessage]>('message');

/** Subplanner to planner. */
export const workersSignal = defineSignal<[WorkersReport]>('workers');
/** Planner to subplanner. */
export const controlSignal = defineSignal<[Control]>('control');
/** Whoever waits for a person, to the root; and its answer. */
export const approvalSignal = defineSignal<[ApprovalRequest]>('approval');
export const verdictSignal = defineSignal<[ApprovalVerdict]>('verdict');

/** What people say to a planner of any level. */
export const steerUpdate = defineUpdate<string, [Steer]>('steer');
export const cancelTaskUpdate = defineUpdate<string, [CancelTask]>('cancelTask');
export const retryTaskUpdate = defineUpdate<string, [RetryTask]>('retryTask');
export const releaseTaskUpdate = defineUpdate<string, [ReleaseTask]>('releaseTask');
export const addTaskUpdate = defineUpdate<string, [AddTask]>('addTask');
export const setLimitsUpdate = defineUpdate<string, [SetLimits]>('setLimits');
/** Begins nothing more; what is under way lands. */
export const finishUpdate = defineUpdate<string, []>('finish');

/** What they say to a run. */
export const cancelUpdate = defineUpdate<string, [CancelRun]>('cancel');
export const approveUpdate = defineUpdate<string, [Approve]>('approve');
export const rejectUpdate = defineUpdate<string, [Reject]>('reject');
export const pauseUpdate = defineUpdate<string, [Pause]>('pause');
export const resumeUpdate = defineUpdate<string, []>('resume');

/** A worker to the root planner of a run whose calls it makes. */
export const modelWaitSignal = defineSignal<[ModelWait]>('modelWait');

/** To a merge queue: nothing lands from now on, for this reason. */
export const freezeUpdate = defineUpdate<string, [{ reason: string }]>('freeze');
/** To a merge queue: lands again, also on a branch that was red. */
export const thawUpdate = defineUpdate<string, [{ reason: string }]>('thaw');

export const snapshotQuery = defineQuery<RunSnapshot>('snapshot');
export const mergeQueueSnapshotQuery = defineQuery<MergeQueueSnapshot>('snapshot');
/** Of an agent: what people said to it that it has not taken in yet. */
export const saidQuery = defineQuery<AgentMessage[]>('said');
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
