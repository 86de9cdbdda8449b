import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Proposal } from '../../../src/activities/deliver/github.ts';
import { createDeliverActivities } from '../../../src/activities/deliver/index.ts';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { renderReport } from '../../../src/dashboard/report.ts';
import type { RunContext, RunReport } from '../../../src/shared/contracts/run.ts';
import { bareRepository, type TestRepository, temporaryFolder } from '../../support/repos.ts';
import { runContext } from '../../support/run-context.ts';

const folder = temporaryFolder();
let remote: TestRepository;
let base: string;
let proposals: Proposal[];
beforeAll(() => {
  remote = bareRepository(join(folder.dir, 'origin.git'));
  base = remote.tip();
});
beforeEach(() => {
  proposals = [];
});
afterAll(() => folder.remove());

const { deliverRun } = createDeliverActivities({
  mirrors: createMirrors({ dir: join(folder.dir, 'mirrors') }),
  render: renderReport,
  github: {
    async propose(proposal) {
      proposals.push(proposal);
      return { kind: 'nothing', reason: 'noted' };
    },
  },
});

function deliver(target: string, status: RunReport['status'] = 'complete', more: Partial<RunContext> = {}) {
  const run = runContext(remote.dir, base, { target, pullRequest: { into: 'main' }, ...more });
  const counts = { landed: 1, replans: 0, retries: 0, conflicts: 0, peakParallel: 1 };
  const tokens = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, costUsd: 0 };
  const report: RunReport = {
    ...{ run: 'run-1', status, repo: remote.dir, target, base, tasks: [], ...counts, ...tokens },
    ...{ startedAt: 0, endedAt: 1, notes: [], unsafe: false },
  };
  return new MockActivityEnvironment().run(deliverRun, { run, report });
}

test('what is proposed is the branch as the remote has it now, with the report as it is shown', async () => {
  const tip = remote.commit({ 'new.txt': 'x\n' }, { branch: 'agentswarm/run-1', parent: base });
  await deliver('agentswarm/run-1');
  await deliver('agentswarm/run-1', 'incomplete');
  expect(proposals).toMatchObject([
    { location: remote.dir, head: 'agentswarm/run-1', into: 'main', tip, title: 'AgentSwarm: run-1' },
    { title: 'AgentSwarm: run-1 (incomplete)' },
  ]);
  expect(proposals[0]?.report).toMatch(/^# Run run-1: complete\n/);
});

test('a branch on which nothing landed, or that is gone, is not proposed', async () => {
  remote.git('update-ref', 'refs/heads/agentswarm/still', base);
  expect(await deliver('agentswarm/still')).toMatchObject({ reason: 'nothing has landed on agentswarm/still' });
  expect(await deliver('agentswarm/gone')).toMatchObject({ reason: 'agentswarm/gone is not on the remote any more' });
  await expect(deliver('main', 'complete', { pullRequest: undefined } as object)).rejects.toThrow(
    'not to be delivered',
  );
  expect(proposals).toEqual([]);
});
