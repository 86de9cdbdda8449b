/** Where a task's time goes, read from its workflow's history. */
import type { Client } from '@temporalio/client';

/** Seconds: the first four are the mean over tasks, the others are counted from the first task's start. */
export type Phases = {
  sandbox: number;
  agent: number;
  collect: number;
  handOff: number;
  lastSandbox: number;
  firstAgentEnd: number;
  lastAgentEnd: number;
};

/** From the start to the lease, over the agent's work, its collection, to the activity that hands off and enqueues. */
export async function phasesOf(client: Client, workflowIds: readonly string[]): Promise<Phases> {
  const tasks = await Promise.all(workflowIds.map((workflowId) => timesOf(client, workflowId)));
  const mean = (of: (task: Times) => number): number => tasks.reduce((sum, task) => sum + of(task), 0) / tasks.length;
  const begun = Math.min(...tasks.map(({ started }) => started));
  return {
    sandbox: mean(({ started, leased }) => leased - started),
    agent: mean(({ leased, ended }) => ended - leased),
    collect: mean(({ ended, collected }) => collected - ended),
    handOff: mean(({ collected, handedOff }) => handedOff - collected),
    lastSandbox: Math.max(...tasks.map(({ leased }) => leased)) - begun,
    firstAgentEnd: Math.min(...tasks.map(({ ended }) => ended)) - begun,
    lastAgentEnd: Math.max(...tasks.map(({ ended }) => ended)) - begun,
  };
}

type Times = Awaited<ReturnType<typeof timesOf>>;

async function timesOf(client: Client, workflowId: string) {
  const { events = [] } = await client.workflow.getHandle(workflowId).fetchHistory();
  const at = (key: string, which = 0): number => {
    const event = events?.filter((each) => each[key as 'eventTime'] != null)[which];
    if (event === undefined) throw new Error(`The history of ${workflowId} has no ${key} ${which + 1}.`);
    return Number(event.eventTime?.seconds ?? 0) + Number(event.eventTime?.nanos ?? 0) / 1e9;
  };
  return {
    started: at('workflowExecutionStartedEventAttributes'),
    leased: at('workflowExecutionSignaledEventAttributes'),
    ended: at('childWorkflowExecutionCompletedEventAttributes'),
    collected: at('activityTaskCompletedEventAttributes'),
    handedOff: at('activityTaskCompletedEventAttributes', 1),
  };
}
