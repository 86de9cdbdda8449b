/** A task's side of the merge queue by itself: asks for each of its tries, one after the other. */
import { defineQuery, setHandler } from '@temporalio/workflow';
import type { MergeOutcome } from '../../../src/shared/contracts/merge.ts';
import type { RunContext } from '../../../src/shared/contracts/run.ts';
import { mergeOutcomeSignal } from '../../../src/shared/messages.ts';
import { ownChain } from '../../../src/workflows/agent/think.ts';
import { Landing } from '../../../src/workflows/task/landing.ts';

export const outcomesQuery = defineQuery<MergeOutcome[]>('outcomes');

export async function lander(input: { run: RunContext; commit: string; tries: number }): Promise<MergeOutcome[]> {
  const { run, commit, tries } = input;
  const task = { id: 'alpha', description: 'do it', scope: [], acceptance: [], priority: 3, dependsOn: [] };
  const landing = new Landing({ run, task, chain: ownChain(), ancestors: [run.root] });
  setHandler(mergeOutcomeSignal, (answer) => landing.answered(answer));
  const outcomes: MergeOutcome[] = [];
  setHandler(outcomesQuery, () => outcomes);
  for (let attempt = 1; attempt <= tries; attempt++) {
    const work = { commit, base: run.base, ref: 'refs/agentswarm/runs/run/alpha.1', subject: 'alpha', body: '' };
    outcomes.push(await landing.land({ ...work, attempt }));
  }
  return outcomes;
}
