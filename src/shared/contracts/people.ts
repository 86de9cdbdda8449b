/**
 * What people send to a run while it goes on, and what a run asks people: arguments of updates, and of the signals
 * that carry them down the tree and back.
 */
import { z } from 'zod';
import { ApprovalKind } from './approval-settings.ts';
import { Chain, CommitSha, TaskId } from '../base/ids.ts';
import { Budget } from './budget.ts';
import { AcceptanceCriterion, ScopePath } from './task.ts';
import { WorkersWord } from './workers.ts';

const MAX_SAID_CHARS = 8_000;
const Text = z
  .string()
  .max(MAX_SAID_CHARS, `at most ${MAX_SAID_CHARS} characters: put longer texts into the repository`);
const Said = Text.refine((text) => text.trim() !== '', 'it is empty');
const Reason = Text.optional();

/** Update `steer`. With `task`, a task of this planner's own that is under way. */
export const Steer = z.strictObject({ text: Said, task: TaskId.optional() });
export type Steer = z.input<typeof Steer>;

/** Update `pause`. */
export const Pause = z.strictObject({ reason: Reason });
export type Pause = z.input<typeof Pause>;

/** How long what has been told to hand off may take; then it is cancelled. */
const GraceMinutes = z.number().min(0).max(1_440).default(10);

/** Update `cancel` of a run. */
export const CancelRun = z.strictObject({ reason: Reason, graceMinutes: GraceMinutes });
export type CancelRun = z.input<typeof CancelRun>;

/** Update `cancelTask`: of this planner's own tasks one, with all below it; at once unless it may hand off. */
export const CancelTask = z.strictObject({
  task: TaskId,
  reason: Reason,
  handOff: z.boolean().default(false),
  graceMinutes: GraceMinutes,
});
export type CancelTask = z.input<typeof CancelTask>;

/** Update `retryTask`: a task that did not land is tried again. `text` is told to its agent. */
export const RetryTask = z.strictObject({ task: TaskId, text: Text.optional() });
export type RetryTask = z.input<typeof RetryTask>;

/** Update `releaseTask`: work of a task that a guard holds lands as it is. */
export const ReleaseTask = z.strictObject({ task: TaskId, reason: Reason });
export type ReleaseTask = z.input<typeof ReleaseTask>;

/** Update `addTask`: a task that no model has planned. Its id is made from the description where none is given. */
export const AddTask = z.strictObject({
  description: Said,
  id: TaskId.optional(),
  scope: z.array(ScopePath).max(100).default([]),
  acceptance: z.array(AcceptanceCriterion).max(30).default([]),
  priority: z.number().int().min(1).max(10).default(3),
  dependsOn: z.array(TaskId).max(50).default([]),
});
export type AddTask = z.input<typeof AddTask>;

/** Update `setLimits`: what is named is changed. */
export const SetLimits = z
  .strictObject({
    /** Tasks at once, of this planner with all below it. */
    maxWorkers: z.number().int().min(1).max(1_000).optional(),
    /** How often a task is tried by itself. */
    maxAttempts: z.number().int().min(1).max(10).optional(),
    /** New totals of this planner with all below it. */
    budget: Budget.optional(),
  })
  .refine((limits) => Object.values(limits).some((limit) => limit !== undefined), 'name at least one limit');
export type SetLimits = z.input<typeof SetLimits>;

/** Updates `approve` and `reject`, of the root. Without a name: what waits, where that is one thing. */
export const Approve = z.strictObject({
  name: z.string().min(1).max(1_000).optional(),
  all: z.boolean().default(false),
});
export type Approve = z.input<typeof Approve>;
export const Reject = z.strictObject({ name: z.string().min(1).max(1_000).optional(), reason: Said });
export type Reject = z.input<typeof Reject>;

/** Signal `approval`, from whoever waits for a person to the root: sent again until there is a verdict. */
export const ApprovalRequest = z.object({
  id: z.string(),
  sender: Chain,
  /** As people say it: `plan-2`, `group/plan-1`, `group/alpha`. */
  name: z.string(),
  kind: ApprovalKind,
  /** What is asked for. */
  text: z.string(),
  commit: CommitSha.optional(),
  /** Where the remote has the commit. */
  ref: z.string().optional(),
});
export type ApprovalRequest = z.infer<typeof ApprovalRequest>;

/** Signal `verdict`, from the root to who asked. */
export const ApprovalVerdict = z.object({ id: z.string(), approved: z.boolean(), reason: z.string() });
export type ApprovalVerdict = z.infer<typeof ApprovalVerdict>;

/** Signal `control`, from a planner to the subplanners below it. Each may come twice. */
export const Control = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('finish') }),
  z.object({ kind: z.literal('cancel'), reason: z.string(), until: z.number() }),
  z.object({ kind: z.literal('limits'), maxWorkers: z.number().int().min(1) }),
  z.object({ kind: z.literal('workers'), ...WorkersWord.shape }),
]);
export type Control = z.infer<typeof Control>;

/** What a run tells people who do not look: the body of a webhook too. Times in ms since the epoch. */
export type Notice = {
  run: string;
  repo: string;
  target: string;
  approvals: {
    name: string;
    kind: ApprovalKind;
    text: string;
    commit?: string;
    since: number;
    /** How often people have been told of it, this time included. */
    reminders: number;
  }[];
};
