/** The activities of merge queues. */
import { activityInfo } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { Log } from '../support/log.ts';
import type { FreezeActivities, MergeActivities } from '../../shared/contracts/activities.ts';
import type { ComposeResult } from '../../shared/contracts/compose.ts';
import type { LandRequest } from '../../shared/contracts/merge.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { mergeQueueWorkflowId } from '../../shared/base/ids.ts';
import { boundedOutcomes } from '../../shared/merge-queue/outcome-size.ts';
import { healthSignal, WORKFLOW } from '../../shared/messages.ts';
import type { Mirrors } from '../git/contract.ts';
import { GitError, remoteWords } from '../git/errors.ts';
import { heartbeating } from '../support/heartbeats.ts';
import { composeLine, dropLines } from './compose.ts';
import { enqueue, deliverHandoff } from './enqueue.ts';
import { createFreezeActivities } from './freeze.ts';
import { landBatch, landLine } from './land.ts';
import { answerRequesters } from './requesters.ts';

/** About ten minutes: a token that has run out may be renewed, but nobody waits for ever for one that is not. */
const LOGIN_TRIES = 20;

/** Gives up on a remote that does not know the worker, attempt after attempt: that is the person's to mend. */
async function loggedIn<T>({ target, repo }: Pick<LandRequest, 'target' | 'repo'>, land: () => Promise<T>): Promise<T> {
  try {
    return await land();
  } catch (error) {
    if (!(error instanceof GitError) || error.kind !== 'credentials') throw error;
    const { attempt } = activityInfo();
    if (attempt < LOGIN_TRIES) throw error;
    const words = remoteWords(error.output);
    throw terminal(
      FailureType.PushRefused,
      `tried ${attempt} times to land on ${target} of ${repo.location}, which does not let the worker log in: ${words}`,
      "Renew its login (git's credential helper, an ssh agent, or AGENTSWARM_GIT_TOKEN), then start a run again.",
      error,
    );
  }
}

/** A line of many requests is one result: what is told of each is cut where all of it is too much. */
function boundedSteps(result: ComposeResult): ComposeResult {
  const decided = result.steps.flatMap((step) => (step.kind === 'decided' ? [step.outcome] : []));
  const bounded = boundedOutcomes(decided);
  const steps = result.steps.map((step) =>
    step.kind === 'decided' ? { ...step, outcome: bounded.shift() ?? step.outcome } : step,
  );
  return { ...result, steps };
}

/** All heartbeat. */
// eslint-disable-next-line max-lines-per-function -- one list: the activities of a merge queue
export function createMergeActivities(deps: {
  mirrors: Mirrors;
  client: Client;
  /** Where queues run. */
  taskQueue: string;
  log?: Log;
}) {
  const { mirrors, client, taskQueue, log } = deps;
  return {
    ...createFreezeActivities({ mirrors }),

    handOff(request) {
      return heartbeating(() => deliverHandoff(deps, request));
    },

    enqueueMerge(request) {
      return heartbeating(() => enqueue(deps, request));
    },

    landBatch(request) {
      return heartbeating(async ({ signal }) => {
        const result = await loggedIn(request, async () =>
          landBatch(await mirrors.open(request.repo), request, { log, signal }),
        );
        for (const { id, outcome } of result.outcomes) {
          const { kind } = outcome;
          if ((kind !== 'landed' && kind !== 'held') || outcome.lost === undefined) continue;
          log?.warn({ id, kind, lost: outcome.lost }, 'a landing takes away what others have landed');
        }
        const bounded = boundedOutcomes(result.outcomes.map(({ outcome }) => outcome));
        return {
          ...result,
          outcomes: result.outcomes.map((answer, i) => ({ ...answer, outcome: bounded[i] ?? answer.outcome })),
        };
      });
    },

    composeLine(request) {
      return heartbeating(({ signal }) =>
        loggedIn(request, async () =>
          boundedSteps(await composeLine(await mirrors.open(request.repo), request, { log, signal })),
        ),
      );
    },

    landLine(request) {
      return heartbeating(({ signal }) =>
        loggedIn(request, async () => landLine(await mirrors.open(request.repo), request, { log, signal })),
      );
    },

    dropRefs({ repo, target }) {
      return heartbeating(async () => dropLines(await mirrors.open(repo), target, log));
    },

    tellHealth({ repo, target, health }) {
      return heartbeating(async () => {
        await client.workflow.signalWithStart(WORKFLOW.mergeQueue, {
          workflowId: mergeQueueWorkflowId(repo.key, target),
          taskQueue,
          args: [{ repo, target }],
          signal: healthSignal,
          signalArgs: [health],
        });
      });
    },

    answerRequesters(request) {
      return heartbeating(() => answerRequesters(client, request, log));
    },
  } satisfies MergeActivities & FreezeActivities;
}
