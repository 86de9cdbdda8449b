/** The last activity of a run: what has landed is proposed to the branch that it started from. */
import type { DeliverActivities } from '../../shared/contracts/activities.ts';
import type { RunReport } from '../../shared/contracts/run.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { Mirrors } from '../git/contract.ts';
import { branchRef } from '../git/names.ts';
import { heartbeating } from '../support/heartbeats.ts';
import type { GitHub } from './github.ts';

/** @param deps.render a report as Markdown. Heartbeats. */
export function createDeliverActivities(deps: {
  github: Pick<GitHub, 'propose'>;
  mirrors: Mirrors;
  render: (report: RunReport) => string;
}) {
  const { github, mirrors, render } = deps;
  return {
    deliverRun({ run, report }) {
      return heartbeating(async ({ signal }) => {
        const { pullRequest, repo, target, base } = run;
        if (pullRequest === undefined) {
          throw terminal(FailureType.Invariant, `run ${report.run} is not to be delivered by a pull request`);
        }
        const mirror = await mirrors.open(repo);
        const tip = await mirror.readRemoteRef(branchRef(target));
        if (tip === null) return { kind: 'nothing', reason: `${target} is not on the remote any more` };
        if (tip === base) return { kind: 'nothing', reason: `nothing has landed on ${target}` };
        const title = `AgentSwarm: ${report.run}${report.status === 'complete' ? '' : ` (${report.status})`}`;
        const { into } = pullRequest;
        return github.propose(
          { location: repo.location, head: target, into, tip, title, report: render(report) },
          signal,
        );
      });
    },
  } satisfies DeliverActivities;
}
