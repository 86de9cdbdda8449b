/** A task's handoff, from what its agent says and what was collected of its work. Pure. */
import type { AgentResult } from '../contracts/agent-run.ts';
import type { RunContext } from '../contracts/run.ts';
import type { CollectResult } from '../contracts/sandbox.ts';
import type { Handoff, HandoffMessage, TaskSpec } from '../contracts/task.ts';
import { boundedHandoff, MAX_HANDOFF_CHARS } from './handoff-size.ts';
import type { Chain, CommitSha } from '../base/ids.ts';
import { TASK_TEXT } from './text.ts';
import { heldWork } from './held-work.ts';

/** What is known of an agent when it has ended. */
export type AgentSaid = Pick<AgentResult, 'handoff' | 'metrics' | 'checks'>;

/** A task's work as it was collected, with what it is measured against and where the remote has it. */
type Collected = Pick<CollectResult, 'commit' | 'filesChanged' | 'tamper'> & { base: CommitSha; ref: string };

/** The agent's handoff with what was measured of it. */
export const workedOn = ({ handoff, metrics, checks }: AgentSaid): Omit<Handoff, 'filesChanged'> => ({
  ...handoff,
  metrics,
  ...(checks === undefined ? {} : { checks }),
});

/** @param claimed of the work, be it by an agent or of one that failed. @returns the handoff, in bounds. */
export function finishedHandoff(
  claimed: Omit<Handoff, 'filesChanged'>,
  { run, task }: { run: Pick<RunContext, 'settings'>; task: Pick<TaskSpec, 'weakensTests'> },
  work: Collected,
): Handoff {
  const { commit, filesChanged } = work;
  const handoff = { ...claimed, filesChanged, ...(commit === undefined ? {} : { commit }) };
  const holds = run.settings.tamper === 'hold' && task.weakensTests !== true;
  return boundedHandoff(guarded(handoff, work, holds), MAX_HANDOFF_CHARS);
}

/** Work that makes tests or checks weaker is held for the planner and people, unless that was asked for. */
function guarded(handoff: Handoff, { tamper: evidence = [], base, ref }: Collected, holds: boolean): Handoff {
  if (evidence.length === 0) return handoff;
  const concerns = [TASK_TEXT.weakened(evidence), ...handoff.concerns];
  if (!holds || handoff.status !== 'complete') return { ...handoff, concerns };
  const summary = `${TASK_TEXT.heldForTests(evidence)}\n\n${handoff.summary}`;
  const { commit } = handoff;
  const work = commit === undefined ? {} : { held: heldWork('tamper', { commit, base, ref }, handoff) };
  return { ...handoff, status: 'blocked', summary, concerns, ...work };
}

/** Whether a branch is queued for it: the agent says that it is complete, nothing holds it, and something changed. */
export const isToLand = (handoff: Handoff): handoff is Handoff & { commit: CommitSha } =>
  handoff.status === 'complete' && handoff.commit !== undefined;

/** As the planner is told of it: each task hands off once. */
export function handoffMessage(
  { chain, task, attempt }: { chain: Chain; task: Pick<TaskSpec, 'id'>; attempt: number },
  handoff: Handoff,
  queued: boolean,
): HandoffMessage {
  const id = `${chain.firstRunId}/handoff`;
  return { id, sender: chain, taskId: task.id, attempt, handoff, queued };
}
