/**
 * What activities give, by their names on the wire. Anyone who may write to the namespace can complete an activity by
 * hand, so a result is parsed where it arrives; what is not listed here does not compile.
 */
import { z } from 'zod';
import { CommitSha } from '../base/ids.ts';
import type {
  CheckActivities,
  CommandActivities,
  DeliverActivities,
  FreezeActivities,
  LlmActivities,
  MergeActivities,
  NotifyActivities,
  OpeningActivities,
  RunActivities,
  SandboxActivities,
  SweepActivities,
  TurnActivities,
} from './activities.ts';
import { ActAndThinkResult, ActResult, Message, ThinkResult, ToolResult } from './agent.ts';
import { CommandResult } from './agent-command.ts';
import { ChecksResult } from './checks.ts';
import { ComposeResult, LandLineResult } from './compose.ts';
import { Delivery } from './deliver.ts';
import { Freeze } from './gate.ts';
import { LandResult } from './merge.ts';
import { PreparedRun } from './run.ts';
import { CollectResult, HoldResult } from './sandbox.ts';
import { StuckWorkflow } from './stuck.ts';
import { TaskResult } from './task.ts';

export type Activities = CheckActivities &
  CommandActivities &
  DeliverActivities &
  FreezeActivities &
  LlmActivities &
  MergeActivities &
  NotifyActivities &
  OpeningActivities &
  RunActivities &
  SandboxActivities &
  SweepActivities &
  TurnActivities;

const view = z.object({ tip: CommitSha, files: z.record(z.string(), z.string()) });
const messages = z.array(Message);
/** Nobody reads it. */
const nothing = z.unknown();

const ChainStatus = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('running'), stuck: StuckWorkflow.optional() }),
  z.object({ kind: z.literal('completed'), result: TaskResult.nullable() }),
  z.object({ kind: z.literal('failed'), reason: z.string() }),
  z.object({ kind: z.literal('missing') }),
]);

export const RESULTS: { readonly [Name in keyof Activities]: z.ZodType } = {
  act: ActResult,
  actAndThink: ActAndThinkResult,
  adoptSandbox: HoldResult,
  answerRequesters: nothing,
  briefAndThink: z.object({ messages, answer: ThinkResult.optional() }),
  briefConflict: z.object({ messages }),
  briefPlanner: z.object({ messages, view }),
  briefReconciler: z.object({ messages }),
  briefReplan: z.object({ message: Message, view }),
  briefWorker: z.object({ messages }),
  collectWork: CollectResult,
  composeLine: ComposeResult,
  deliverRun: Delivery,
  describeChains: z.array(ChainStatus),
  dropRefs: nothing,
  endWorkflows: nothing,
  enqueueMerge: nothing,
  findStuck: z.object({ stuck: z.array(StuckWorkflow) }),
  finishRun: z.object({ tip: CommitSha.nullable(), kept: z.array(z.string()) }),
  handOff: nothing,
  holdSandbox: HoldResult,
  inspect: z.object({ results: z.array(ToolResult) }),
  keepFreeze: nothing,
  landBatch: LandResult,
  landLine: LandLineResult,
  moveGreen: z.object({ green: CommitSha }),
  notify: nothing,
  prepareRun: PreparedRun,
  readFreeze: z.object({ freeze: Freeze.nullable() }),
  readTip: z.object({ tip: CommitSha, green: CommitSha.nullable() }),
  runChecks: ChecksResult,
  runCommand: CommandResult,
  tellHealth: nothing,
  think: ThinkResult,
};

/** What a list in a result is an answer to, one by one: a shorter one would be taken for an answer about others. */
type Listed = { [Name in keyof Activities]?: (request: never, result: never) => boolean };
const LISTS: Listed = {
  act: ({ calls }: Request<'act'>, { results }: Result<'act'>) => results.length === calls.length,
  actAndThink: ({ act }: Request<'actAndThink'>, { acted }: Result<'actAndThink'>) =>
    acted.results.length === act.calls.length,
  describeChains: ({ chains }: Request<'describeChains'>, standings: Result<'describeChains'>) =>
    standings.length === chains.length,
  inspect: ({ calls }: Request<'inspect'>, { results }: Result<'inspect'>) => results.length === calls.length,
};
type Request<Name extends keyof Activities> = Parameters<Activities[Name]>[0];
type Result<Name extends keyof Activities> = Awaited<ReturnType<Activities[Name]>>;

/** Why this is no result of that activity, as lines that name the keys; undefined when it is one. */
export function whyNoResult(name: string, request: unknown, result: unknown): string | undefined {
  const known = name as keyof Activities;
  const schema = Object.hasOwn(RESULTS, name) ? RESULTS[known] : undefined;
  if (schema === undefined) return undefined;
  const parsed = schema.safeParse(result);
  if (!parsed.success) return z.prettifyError(parsed.error);
  const isOfAll = LISTS[known]?.(request as never, result as never) ?? true;
  return isOfAll ? undefined : 'it does not have one answer for each that was asked for';
}
