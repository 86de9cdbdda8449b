/**
 * Settings of a run, in layers: the run's input, over `agentswarm.json` in the repository (read at the base
 * commit only, so that a task cannot change its own rules), over `run` in the worker's `temporal.config.ts`,
 * over the defaults here. Resolved once by `prepareRun`. Pure.
 */
import { z } from 'zod';
import { ApprovalRules, ApprovalSettings } from './approval-settings.ts';
import { Checks } from './check-settings.ts';
import { Limits } from './agent.ts';
import { Budget } from './budget.ts';
import { MergePolicy } from './gate-mode.ts';
import { DeliverMode } from './deliver.ts';
import { GuardPolicy } from './guard.ts';
import { MergeStrategy } from './merge-strategy.ts';
import { NetworkSetting, Registry } from './network.ts';

const setupShape = {
  /** Shell command, run in a sandbox of its own at the root of the work tree. */
  command: z.string().min(1),
  /** Files whose content makes the key: the same content gets the same result. */
  keyFiles: z.array(z.string().min(1)).default([]),
  network: NetworkSetting.default('none'),
  /** Registries that need a token. The worker's configuration must trust each URL with its variable. */
  registries: z.array(Registry).optional(),
  timeoutMinutes: z.number().positive().default(15),
};

const mayUseRegistries = (setup: { network?: unknown; registries?: readonly unknown[] | undefined }): boolean =>
  setup.network !== 'full' || (setup.registries ?? []).length === 0;
const REGISTRIES_WITH_FULL = {
  path: ['registries'],
  message:
    'not together with network "full", which shares the host\'s own network: others could use the token. Name the other hosts that setup needs in "network": {"allow": […]}',
};

export const Setup = z.strictObject(setupShape).refine(mayUseRegistries, REGISTRIES_WITH_FULL);
export type Setup = z.infer<typeof Setup>;

/** As a person gives it: what is left out is worked out from the repository's files, see `detectSetup`. */
const SetupFields = z
  .strictObject({
    ...setupShape,
    command: setupShape.command.optional(),
    keyFiles: z.array(z.string().min(1)).optional(),
    network: NetworkSetting.optional(),
  })
  .refine(mayUseRegistries, REGISTRIES_WITH_FULL);
export type SetupFields = z.infer<typeof SetupFields>;
type SetupWritten = z.input<typeof SetupFields> | 'auto' | 'none' | null;

/** `"auto"` is `{}`, `"none"` is null. */
const SetupSetting = z.preprocess(
  (written) => (written === 'auto' ? {} : written === 'none' ? null : written),
  SetupFields.nullable(),
) as unknown as z.ZodType<SetupFields | null, SetupWritten>;

/** How the agents of tasks are run: by our own loop, or by a program in the sandbox (`argv`). */
const ENGINE = {
  engine: z.enum(['loop', 'command']),
  argv: z.array(z.string().min(1).max(8_000)).min(1).max(100),
};

const shape = {
  /** Tasks at once, at all levels of the run together. */
  maxWorkers: z.number().int().min(1).max(1_000),
  /** How often a task is tried in all. */
  maxAttempts: z.number().int().min(1).max(10),
  /** How often a conflict agent tries to resolve one task's conflicts. */
  conflictTries: z.number().int().min(0).max(5),
  /** New handoffs after which the planner plans again. */
  replanAfter: z.number().int().min(1),
  /** Planning failures in a row after which the run pauses. */
  planningFailures: z.number().int().min(1),
  /** Limits of one agent, by role. */
  agent: z
    .strictObject({ planner: Limits, worker: Limits, conflict: Limits, ...ENGINE })
    .partial()
    .refine(({ engine, argv }) => engine !== 'command' || argv !== undefined, {
      path: ['argv'],
      message: 'engine "command" wants argv: the program and its arguments, as a list',
    }),
  /** What the repository calls well. */
  checks: Checks,
  /** Whether the branch's checks are run while tasks land and at the end, and what they show is mended. */
  sweeps: z.enum(['auto', 'off']),
  /** What is done with work that makes tests or checks weaker. */
  tamper: z.enum(['hold', 'report']),
  setup: SetupSetting,
  /** Author and committer of the landing commits. */
  author: z.strictObject({ name: z.string().min(1), email: z.string().min(1) }),
  /** How work becomes commits of the branch. */
  strategy: MergeStrategy,
  /** What becomes of a landing that takes away what others have landed while it was made. */
  guard: GuardPolicy,
  /** How what has landed gets to the branch that the run started from. */
  deliver: DeliverMode,
  /** What is checked before it lands. */
  merge: MergePolicy,
  /** Continue-as-new of planners after this many history events, where the server does not ask sooner. */
  historyEvents: z.number().int().min(50).max(40_000),
  /** A task that said nothing for so long is asked after, in seconds. */
  childSilenceSeconds: z.number().min(1),
  /** A workflow whose workflow task keeps failing for so long is terminated, in minutes. */
  stuckMinutes: z.number().positive().max(10_000),
  /** An agent's transcript is compacted when a call's input was longer than this, in tokens. */
  compactTokens: z.number().int().min(1_000),
  /** Upper bound of one answer, in tokens. */
  maxOutputTokens: z.number().int().min(256),
};

const Division = z.strictObject({
  /** Scope entries from which on a task is divided; a folder counts as four. */
  scope: z.number().int().min(1),
  /** Levels of subplanners below the root planner; 0: no task is divided. */
  depth: z.number().int().min(0).max(5),
  /** Subtasks of one division. */
  subtasks: z.number().int().min(1).max(50),
});

const planningShape = {
  /** Of the whole run: no agent starts beyond it. A dimension that is not named is not limited. */
  budget: Budget,
  division: Division,
  /** What waits for a person. */
  approvals: ApprovalSettings,
  approval: ApprovalRules,
};

export const RunSettingsInput = z
  .strictObject({ ...shape, ...planningShape, division: Division.partial(), approval: ApprovalRules.partial() })
  .partial();
export type RunSettingsInput = z.infer<typeof RunSettingsInput>;

export const RunSettings = z.object({
  ...shape,
  stuckMinutes: shape.stuckMinutes.default(15),
  strategy: MergeStrategy.default('rebase'),
  guard: GuardPolicy.default('report'),
  deliver: DeliverMode.default('branch'),
  merge: MergePolicy.default({}),
  setup: Setup.nullable(),
  agent: z.object({
    planner: Limits,
    worker: Limits,
    conflict: Limits,
    engine: ENGINE.engine.default('loop'),
    argv: ENGINE.argv.optional(),
  }),
  checks: Checks.default([]),
  sweeps: z.enum(['auto', 'off']).default('off'),
  tamper: z.enum(['hold', 'report']).default('report'),
  budget: Budget.default({}),
  division: Division.default({ scope: 4, depth: 0, subtasks: 10 }),
  approvals: ApprovalSettings.default([]),
  approval: ApprovalRules.default({ remindMinutes: 60 }),
});
export type RunSettings = z.infer<typeof RunSettings>;

export const DEFAULT_RUN_SETTINGS: RunSettings = {
  maxWorkers: 8,
  maxAttempts: 2,
  conflictTries: 2,
  replanAfter: 3,
  planningFailures: 10,
  agent: {
    planner: { turns: 60, tokens: 4_000_000, minutes: 60, costUsd: 10 },
    worker: { turns: 150, tokens: 8_000_000, minutes: 120, costUsd: 10 },
    conflict: { turns: 60, tokens: 2_000_000, minutes: 45, costUsd: 5 },
    engine: 'loop',
  },
  checks: [],
  sweeps: 'auto',
  tamper: 'hold',
  budget: { usd: 25 },
  division: { scope: 4, depth: 3, subtasks: 10 },
  approvals: [],
  approval: { remindMinutes: 60 },
  setup: null,
  author: { name: 'AgentSwarm', email: 'agentswarm@localhost' },
  strategy: 'rebase',
  guard: 'report',
  deliver: 'branch',
  merge: {},
  historyEvents: 4_000,
  childSilenceSeconds: 120,
  stuckMinutes: 15,
  compactTokens: 150_000,
  maxOutputTokens: 16_000,
};

/** Of one run; what its `setup` is may still depend on the repository's files. */
type LayeredSettings = Omit<RunSettings, 'setup'> & { setup: SetupFields | null };

/** The first layer that names a key wins; `agent` is merged by role, and what one layer wants approved is. */
export function layerRunSettings(...layers: readonly (RunSettingsInput | undefined)[]): LayeredSettings {
  const layered: LayeredSettings = { ...DEFAULT_RUN_SETTINGS };
  for (const layer of [...layers].reverse()) {
    if (layer === undefined) continue;
    const { agent, division, merge, approvals = [], approval, ...rest } = layer;
    Object.assign(layered, Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)));
    if (agent !== undefined) layered.agent = { ...layered.agent, ...agent };
    if (approval !== undefined) layered.approval = { ...layered.approval, ...approval };
    layered.approvals = [...new Set([...layered.approvals, ...approvals])];
    if (merge !== undefined) layered.merge = { ...layered.merge, ...merge };
    if (division !== undefined) layered.division = { ...layered.division, ...division };
  }
  return layered;
}

/** A zod error as lines that name the key: `settings.maxWorkers: expected number, received string`. */
export function describeIssues(error: z.ZodError, root: string): string {
  return error.issues
    .map((issue) => `${[root, ...issue.path.map(String)].filter((part) => part !== '').join('.')}: ${issue.message}`)
    .join('\n');
}
