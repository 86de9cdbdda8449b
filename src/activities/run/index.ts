/** The activities with which a run prepares itself, briefs its agents, looks at the repository and ends. */
import type { Client } from '@temporalio/client';
import type { Config } from '../../shared/config/worker-config.ts';
import type { RunActivities } from '../../shared/contracts/activities.ts';
import type { GitHub } from '../deliver/github.ts';
import type { Mirrors } from '../git/contract.ts';
import type { Log } from '../support/log.ts';
import { createBriefPlanner, createBriefReplan } from '../prompts/brief-planner.ts';
import { createBriefConflict } from '../prompts/brief-conflict.ts';
import { createBriefWorker } from '../prompts/brief-worker.ts';
import { createDescribeChains } from '../support/describe-chains.ts';
import { createEndWorkflows, createFindStuck } from '../support/stuck.ts';
import { createFinishRun } from './finish.ts';
import { createInspect } from './inspect.ts';
import { createReadLandedWork } from '../prompts/landed-work.ts';
import { createPrepareRun } from './prepare.ts';
import type { RegistryFinder } from '../sandbox/network/registry-finder.ts';
import { loadPrompts } from '../prompts/prompts.ts';

/**
 * @param deps.config the worker's; its `run` is the layer of settings below the repository's.
 * @param deps.promptsDir folder of the prompts, absolute; they are read here, once.
 * @param deps.sandboxUnsafe whether sandboxes of this worker run without isolation.
 * @throws when a prompt is missing.
 */
export function createRunActivities(deps: {
  mirrors: Mirrors;
  client: Client;
  config: Pick<Config, 'run' | 'sandbox'>;
  promptsDir: string;
  sandboxUnsafe: boolean;
  github: Pick<GitHub, 'check'>;
  finder: RegistryFinder;
  log: Log;
}): RunActivities {
  const { mirrors, client, config, sandboxUnsafe, github, finder, log } = deps;
  const prompts = loadPrompts(deps.promptsDir, config.sandbox.network);
  return {
    prepareRun: createPrepareRun({ mirrors, config, sandboxUnsafe, github, finder, log }),
    briefPlanner: createBriefPlanner({ mirrors, prompts }),
    briefReplan: createBriefReplan({ mirrors }),
    briefWorker: createBriefWorker({ mirrors, prompts }),
    briefConflict: createBriefConflict({ mirrors, prompts, landedWork: createReadLandedWork({ client, log }) }),
    inspect: createInspect({ mirrors, log }),
    describeChains: createDescribeChains({ client }),
    findStuck: createFindStuck({ client, log }),
    endWorkflows: createEndWorkflows({ client, log }),
    finishRun: createFinishRun({ mirrors, log }),
  };
}
