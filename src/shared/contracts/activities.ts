/**
 * The activities, as workflows see them: their names on the wire, requests and results. Implementations are
 * `createXActivities(deps)` in src/activities and say `satisfies XActivities`.
 */
import type { Chain, CommitSha } from '../base/ids.ts';
import type {
  ActAndThinkRequest,
  ActAndThinkResult,
  ActRequest,
  ActResult,
  Message,
  ThinkRequest,
  ThinkResult,
  ToolCall,
  ToolResult,
} from './agent.ts';
import type { CommandRequest, CommandResult } from './agent-command.ts';
import type { CheckError, CheckRun, ChecksRequest, ChecksResult } from './checks.ts';
import type { Conflict } from './conflict.ts';
import type { Delivery } from './deliver.ts';
import type { ComposeRequest, ComposeResult, LandLineRequest, LandLineResult } from './compose.ts';
import type { BranchHealth, Freeze } from './gate.ts';
import type { AnswerRequest, LandRequest, LandResult, MergeRequest } from './merge.ts';
import type { Notice } from './people.ts';
import type { Scratchpad } from './plan.ts';
import type { PlannerInput, PreparedRun, RepositoryRef, RunContext, RunReport, SpecSource } from './run.ts';
import type { AdoptRequest, CollectRequest, CollectResult, HoldRequest, HoldResult } from './sandbox.ts';
import type { StuckWorkflow } from './stuck.ts';
import type { TriedFix } from './sweep.ts';
import type { Handoff, HandoffMessage, TaskResult, TaskSpec } from './task.ts';

/** What a planner's conversation has already been told about the repository. */
export type RepositoryView = {
  /** The target's tip that the conversation knows. */
  tip: CommitSha;
  /** Content hashes of the spec and guidance files by path: only what changed is sent again. */
  files: Record<string, string>;
};

/** What is new for the planner since its last plan, oldest first. */
export type PlanningNews = {
  handoffs: { taskId: string; attempt: number; handoff: Handoff }[];
  /** One line each: "task a landed as 1234567", "task b: conflict in x.ts after 2 tries". */
  events: string[];
  /** What people said with `steer`. */
  steering: string[];
  /** The open tasks with their status and scope: these scopes are locked. */
  open: { id: string; status: string; scope: string[] }[];
};

/** What a planner's new conversation goes on from. */
export type Resume = {
  scratchpad: Scratchpad;
  tasks: { id: string; description: string; status: string; branch: string }[];
  /** How many further tasks are done that are not in `tasks`: the oldest. */
  older?: number;
};

/** How a child or ancestor stands on the server. */
export type ChainStatus =
  /** `stuck`: it cannot go on, as its workflow task keeps failing. */
  | { kind: 'running'; stuck?: StuckWorkflow | undefined }
  | { kind: 'completed'; result: TaskResult | null }
  | { kind: 'failed'; reason: string }
  /** No workflow of that id, or the id belongs to another chain by now. */
  | { kind: 'missing' };

export type FindStuckRequest = {
  /** The workflow at the root of all, which may be another's that started the run. */
  root: string;
  run: string;
  /** Ids of workflows, also of one that is not below the run. */
  known: string[];
  closely: string[];
};

export type EndWorkflowsRequest = {
  runs: { workflowId: string; runId: string }[];
  below: Chain[];
  /** What the server keeps as the reason. */
  reason: string;
};

/** On the run's task queue. */
export interface RunActivities {
  /** Resolves settings, mirrors the repository, creates the target branch. Fails for good on bad input. */
  prepareRun(request: { input: PlannerInput; root: Chain }): Promise<PreparedRun>;
  /** The first messages of a planner's conversation: role, spec, file tree, recent commits. */
  briefPlanner(request: {
    run: RunContext;
    spec: SpecSource;
    /** Given to a subplanner: what it divides, and the attempt before it. */
    division?: { task: TaskSpec; attempt: number; previous?: { summary: string }; guidance: string[] };
    /** Given when a conversation starts anew (it had become too long): the memory to go on from. */
    resume?: Resume;
  }): Promise<{ messages: Message[]; view: RepositoryView }>;
  /** The message that opens a further round of planning: only what changed. */
  briefReplan(request: {
    run: RunContext;
    spec: SpecSource;
    view: RepositoryView;
    news: PlanningNews;
  }): Promise<{ message: Message; view: RepositoryView }>;
  /** The first messages of a task's agent. */
  briefWorker(request: {
    run: RunContext;
    task: TaskSpec;
    attempt: number;
    previous?: { summary: string; workLost?: boolean | undefined };
    guidance: string[];
  }): Promise<{ messages: Message[] }>;
  /** The first messages of a conflict agent: both sides' intent (the task; the landed commits of these files). */
  briefConflict(request: {
    run: RunContext;
    task: TaskSpec;
    handoff: Handoff;
    base: CommitSha;
    tip: CommitSha;
    files: string[];
    /** Of the first of these files, what each side did. */
    conflicts?: Conflict[] | undefined;
  }): Promise<{ messages: Message[] }>;
  /** A planner's read-only tools, over the mirror at one commit. */
  inspect(request: { run: RunContext; commit: CommitSha; calls: ToolCall[] }): Promise<{ results: ToolResult[] }>;
  /** How each of these workflows stands, in the same order. */
  describeChains(request: { chains: Chain[] }): Promise<ChainStatus[]>;
  /**
   * What of a run cannot go on, as its workflow tasks keep failing. Its workflows are those below `run` that have the
   * same root: what the server reports, `known` ones that still are, and any at or below `closely`.
   */
  findStuck(request: FindStuckRequest): Promise<{ stuck: StuckWorkflow[] }>;
  /** Terminates these runs, and whatever runs at or below `below`. One that has ended is no error. */
  endWorkflows(request: EndWorkflowsRequest): Promise<void>;
  /** Deletes refs of the run, reads the target back. `keep` are refs of work that did not land. */
  finishRun(request: { run: RunContext; keep: string[] }): Promise<{ tip: CommitSha | null; kept: string[] }>;
}

/** On the run's task queue. */
export interface NotifyActivities {
  /** Tells people what of a run waits for them: in the worker's log, and at its webhook where it has one. */
  notify(request: Notice): Promise<void>;
}

/** On the run's task queue. */
export interface DeliverActivities {
  /** Opens or updates the pull request of a run that has one in its context, with its report. Idempotent. */
  deliverRun(request: { run: RunContext; report: RunReport }): Promise<Delivery>;
}

/** On the run's task queue. */
export interface LlmActivities {
  think(request: ThinkRequest): Promise<ThinkResult>;
}

export type EnqueueRequest = { repo: RunContext['repo']; target: string; entry: MergeRequest };

/** A task's handoff, and where its work is to land at once, its first merge request. */
export type HandOffRequest = { parent: Chain; message: HandoffMessage; merge?: EnqueueRequest };

/** On the run's task queue. */
export interface MergeActivities {
  /**
   * Signals the handoff to the parent, where that still runs, and then asks the merge queue as `enqueueMerge` does: the
   * parent knows of a branch as queued before its outcome. Both know a message that comes again by its id.
   */
  handOff(request: HandOffRequest): Promise<void>;
  /** signalWithStart of the queue of this repository and branch. The queue knows a request that comes again. */
  enqueueMerge(request: EnqueueRequest): Promise<void>;
  /** Merges, pushes by compare-and-swap, reads back. Idempotent by Swarm-Change. */
  landBatch(request: LandRequest): Promise<LandResult>;
  /** Merges without pushing to the branch, for a gate. */
  composeLine(request: ComposeRequest): Promise<ComposeResult>;
  /** Pushes what a gate let pass, by compare-and-swap, reads back. Idempotent. */
  landLine(request: LandLineRequest): Promise<LandLineResult>;
  /** Deletes all refs of composed lines of this branch, also those of attempts that were not heard of. Best effort. */
  dropRefs(request: { repo: RunContext['repo']; target: string }): Promise<void>;
  /** signalWithStart of the queue of this repository and branch: a sweep's verdict freezes or thaws it. */
  tellHealth(request: { repo: RunContext['repo']; target: string; health: BranchHealth }): Promise<void>;
  /** Signals `outcome` to each requester's chain; one that has ended is no error. */
  answerRequesters(request: AnswerRequest): Promise<void>;
}

/** On the run's task queue: a person's freeze of a branch, on the remote, where it outlives every workflow. */
export interface FreezeActivities {
  readFreeze(request: { repo: RepositoryRef; target: string }): Promise<{ freeze: Freeze | null }>;
  /** Sets it; null takes it away. Idempotent. */
  keepFreeze(request: { repo: RepositoryRef; target: string; freeze: Freeze | null }): Promise<void>;
}

/** `holdSandbox` on the sandbox queue (or the reserved one); the others on the host's own queue. */
export interface SandboxActivities {
  holdSandbox(request: HoldRequest): Promise<HoldResult>;
  adoptSandbox(request: AdoptRequest): Promise<HoldResult>;
  act(request: ActRequest): Promise<ActResult>;
  collectWork(request: CollectRequest): Promise<CollectResult>;
}

/** On the run's task queue. */
export interface SweepActivities {
  /** As the remote has them now: a branch's tip, and what its green ref names. */
  readTip(request: { repo: RepositoryRef; branch: string }): Promise<{ tip: CommitSha; green: CommitSha | null }>;
  /**
   * Moves the green ref to a commit that has passed, by compare-and-swap and never back.
   * @returns what it names then: this commit, or one that stands on it.
   */
  moveGreen(request: { repo: RepositoryRef; branch: string; commit: CommitSha }): Promise<{ green: CommitSha }>;
  /** The first messages of the reconciler's agent. `since`: the newest commit that is known to be sound. */
  briefReconciler(request: {
    run: RunContext;
    commit: CommitSha;
    since: CommitSha;
    errors: CheckError[];
    checks: CheckRun[];
    tried: TriedFix[];
  }): Promise<{ messages: Message[] }>;
}

/** On the reserved queue: takes one of its slots for as long as it runs. */
export interface CheckActivities {
  /**
   * Runs checks on one commit, in a sandbox of its own with network as agents have it. Idempotent. Heartbeats; a
   * cancellation ends the sandbox. Fails only when cancelled, or when the commit cannot be had.
   */
  runChecks(request: ChecksRequest): Promise<ChecksResult>;
}

/** What an agent's first messages are made from. */
export type BriefRequest =
  | { role: 'worker'; request: Parameters<RunActivities['briefWorker']>[0] }
  | { role: 'conflict'; request: Parameters<RunActivities['briefConflict']>[0] };

/** On the run's task queue. */
export interface OpeningActivities {
  /**
   * An agent's first messages, and the first call over them. `think` is of the transcript before them: of nothing.
   * Without an answer where the call was not answered: the workflow then asks by `think`.
   */
  briefAndThink(request: {
    brief: BriefRequest;
    think: ThinkRequest;
  }): Promise<{ messages: Message[]; answer?: ThinkResult }>;
}

/** On the host's own queue, as it begins with tools. */
export interface TurnActivities {
  actAndThink(request: ActAndThinkRequest): Promise<ActAndThinkResult>;
}

/** On the host's own queue: an external agent, from its start to its end. */
export interface CommandActivities {
  runCommand(request: CommandRequest): Promise<CommandResult>;
}
