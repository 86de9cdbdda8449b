/** The checks of one commit, the ref that names the newest which passed, and what their agent begins with. */
import type { CheckActivities, SweepActivities } from '../../shared/contracts/activities.ts';
import type { NetworkSetting } from '../../shared/contracts/network.ts';
import type { Mirrors } from '../git/contract.ts';
import type { Log } from '../support/log.ts';
import { loadPrompts } from '../prompts/prompts.ts';
import { createBriefReconciler } from '../prompts/brief-reconciler.ts';
import { createMoveGreen, createReadTip } from './green.ts';
import { createRunChecks, type ChecksDeps } from './run-checks.ts';

/** On the reserved queue: each takes a sandbox. */
export function createCheckActivities(deps: ChecksDeps): CheckActivities {
  return { runChecks: createRunChecks(deps) };
}

/** On the run's queue. @throws when a prompt is missing. */
export function createSweepActivities(deps: {
  mirrors: Mirrors;
  promptsDir: string;
  /** Of sandboxes, for the prompt. */
  network: NetworkSetting;
  log: Log;
}): SweepActivities {
  return {
    readTip: createReadTip(deps),
    moveGreen: createMoveGreen(deps),
    briefReconciler: createBriefReconciler({
      mirrors: deps.mirrors,
      prompts: loadPrompts(deps.promptsDir, deps.network),
    }),
  };
}
