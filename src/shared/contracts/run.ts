/** A run: what a person asks for, what it is resolved to, what it reports. */
import { z } from 'zod';
import { Chain, CommitSha } from '../base/ids.ts';
import { Budget } from './budget.ts';
import { PullRequest } from './deliver.ts';
import { HeldBy } from './held.ts';
import { RunSettings, RunSettingsInput } from './run-settings.ts';
import { SPEC_LIMITS } from '../base/spec-files.ts';
import { Green } from './green.ts';

const SpecFile = z.strictObject({
  path: z.string().min(1).max(1_000),
  text: z.string(),
});

/** A string is a path in the repository; `{text}` is the text itself, `{files}` the texts of a folder, in order. */
export const SpecSource = z.union([
  z.string().min(1, 'the path of the spec is empty'),
  z.strictObject({ text: z.string().min(1, 'the text of the spec is empty').max(400_000) }),
  z.strictObject({
    files: z
      .array(SpecFile)
      .min(1, 'the folder of the spec is empty')
      .max(SPEC_LIMITS.files)
      .refine((files) => new Set(files.map(({ path }) => path)).size === files.length, 'a path is there twice')
      .refine(
        (files) => files.reduce((sum, { text }) => sum + text.length, 0) <= SPEC_LIMITS.bytes,
        `at most ${SPEC_LIMITS.bytes} bytes: commit longer ones to the repository, and name their path`,
      ),
  }),
]);
export type SpecSource = z.infer<typeof SpecSource>;

/** Input of the `planner` workflow, as a person writes it. Unknown fields are refused. */
export const PlannerInput = z.strictObject({
  /** A URL (https, ssh, git@host:path) or an absolute path of a bare or ordinary repository. */
  repo: z.string().min(1, 'repo is empty'),
  /** What is to be built; not with `mode` reconcile. */
  spec: SpecSource.optional(),
  /** `reconcile`: nothing is planned; the branch's checks are run, and what fails is mended until they pass. */
  mode: z.enum(['plan', 'reconcile']).optional(),
  base: z.string().min(1).optional(),
  branch: z.string().min(1).optional(),
  settings: RunSettingsInput.optional(),
});
export type PlannerInput = z.infer<typeof PlannerInput>;

export const RepositoryRef = z.object({
  /** As git takes it: a URL without user info, or a real path. */
  location: z.string().min(1),
  /** See repositoryKey(). */
  key: z.string().min(1),
});
export type RepositoryRef = z.infer<typeof RepositoryRef>;

/** What every part of a run needs to know; resolved once by `prepareRun` and kept. */
export const RunContext = z.object({
  root: Chain,
  repo: RepositoryRef,
  /** The commit that the run started from. */
  base: CommitSha,
  /** The branch that work lands on, without `refs/heads/`. */
  target: z.string().min(1),
  settings: RunSettings,
  /** Where the target is proposed to at the end. */
  pullRequest: z.object({ into: z.string().min(1) }).optional(),
});
export type RunContext = z.infer<typeof RunContext>;

export const PreparedRun = z.object({
  context: RunContext,
  /** Said to the person at once and in the report: "main is checked out in …, so work lands on …". */
  notes: z.array(z.string()),
  /** Whether sandboxes here run without isolation because the user said so. */
  unsafe: z.boolean(),
});
export type PreparedRun = z.infer<typeof PreparedRun>;

export const TaskReport = z.object({
  id: z.string(),
  description: z.string(),
  status: z.enum(['pending', 'assigned', 'running', 'complete', 'failed', 'cancelled']),
  branch: z.enum(['none', 'queued', 'landed', 'conflicted', 'ejected']),
  attempts: z.number().int(),
  /** How often its branch met a content conflict. */
  conflicts: z.number().int(),
  commit: z.string().optional(),
  /** Where work that did not land is kept. */
  ref: z.string().optional(),
  reason: z.string().optional(),
  /** The task that was planned in its place after it was lost. */
  successor: z.string().optional(),
  /** Of its acceptance criteria and the checks that went with them, what the host saw pass at its handoff. */
  criteria: z
    .object({ met: z.number().int(), of: z.number().int(), failed: z.array(z.string()).optional() })
    .optional(),
  /** The workflow of its newest attempt, where it is known: a task, or a subplanner that divides it. */
  workflow: z.string().optional(),
  /** Of a task that was divided: all below it, their ids as paths (`group/alpha`). */
  get subtasks() {
    return z.array(TaskReport).optional();
  },
  tokens: z.number().optional(),
  costUsd: z.number().optional(),
  /** Of its agents' calls together. */
  durationMs: z.number().optional(),
  /** Of a landing that took away what others had landed. */
  warning: z.string().optional(),
  /** Its work is complete, and kept from landing by this guard until a person releases it. */
  held: HeldBy.optional(),
  /** A person had its held work landed, for this reason; may be empty. */
  released: z.string().optional(),
  /** What its handoff left open. */
  concerns: z.array(z.string()).optional(),
});
export type TaskReport = z.infer<typeof TaskReport>;

/** The result of the `planner` workflow, printed by `--json`. Times in ms since the epoch. */
export const RunReport = z.object({
  run: z.string(),
  status: z.enum(['complete', 'incomplete', 'failed', 'cancelled']),
  reason: z.string().optional(),
  repo: z.string(),
  target: z.string(),
  base: z.string(),
  /** The target's tip, read back from the remote at the end. */
  tip: z.string().optional(),
  tasks: z.array(TaskReport),
  /** Tasks that landed; those of a division, and not itself. */
  landed: z.number().int(),
  replans: z.number().int(),
  retries: z.number().int(),
  conflicts: z.number().int(),
  peakParallel: z.number().int(),
  inputTokens: z.number().int(),
  cachedInputTokens: z.number().int(),
  outputTokens: z.number().int(),
  costUsd: z.number(),
  startedAt: z.number(),
  endedAt: z.number(),
  notes: z.array(z.string()),
  unsafe: z.boolean(),
  /** Whether the target passes its checks, as far as that was looked at. */
  green: Green.optional(),
  /** What was not done, and why; empty where the run is complete. */
  undone: z.array(z.object({ what: z.string(), why: z.string() })).optional(),
  /** By which it was proposed. */
  pullRequest: PullRequest.optional(),
  /** The run's limit, with what of it was spent. */
  budget: z.object({ total: Budget, spent: z.object({ tokens: z.number(), usd: z.number() }) }).optional(),
});
export type RunReport = z.infer<typeof RunReport>;
