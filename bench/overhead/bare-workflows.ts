/** The bare pattern: the same shape of workflows and activities, which only sleep. */
import { executeChild, proxyActivities, workflowInfo } from '@temporalio/workflow';

export type BareLoad = { agents: number; turns: number; thinkMs: number };
export type BareActivities = { think(ms: number): Promise<void>; act(): Promise<void> };

const { think, act } = proxyActivities<BareActivities>({ startToCloseTimeout: '5m' });

export async function bareAgent({ turns, thinkMs }: BareLoad): Promise<void> {
  for (let turn = 0; turn < turns; turn++) {
    await think(thinkMs);
    if (turn < turns - 1) await act();
  }
}

export async function bareRun(load: BareLoad): Promise<void> {
  const { workflowId } = workflowInfo();
  const agents = Array.from({ length: load.agents }, (_, i) =>
    executeChild(bareAgent, { workflowId: `${workflowId}/agent-${i}`, args: [load] }),
  );
  await Promise.all(agents);
}
