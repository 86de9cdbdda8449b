/** Whole runs whose work is not simply pushed: guarded against what it takes away, and proposed by a pull request. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { transcriptQuery } from '../../src/shared/messages.ts';
import { readableText } from '../histories/store.ts';
import { canariesBelow, canariesIn } from '../support/canaries.ts';
import { type GitHttpServer, serveGit } from '../support/git-http.ts';
import { GITHUB_SAYS, type GitHubDouble, startGitHubDouble } from '../support/github-double.ts';
import { bareRepository, temporaryFolder, type TestRepository } from '../support/repos.ts';
import { atOnce, planned, type Scenario, scenarioScript, specOf, writes } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

const TOKEN = 'ghp_canary0123456789canary0123456789';

const two: Scenario = {
  plan: () => ({ tasks: [planned('one'), planned('two')], done: true }),
  tasks: { one: writes({ 'one.txt': 'one\n' }), two: writes({ 'two.txt': 'two\n' }) },
};

/** Both tasks make the same file; whose merge comes second resolves by throwing all words away. */
const careless = (left: string, right: string): Scenario => ({
  plan: ({ planned: before }) => ({ tasks: before.size > 0 ? [] : [planned(left), planned(right)], done: true }),
  tasks: {
    [left]: writes({ 'shared.txt': `words of ${left}\n` }),
    [right]: writes({ 'shared.txt': `words of ${right}\n` }),
  },
  conflicts: () =>
    atOnce({ text: '', calls: [{ name: 'bash', arguments: { command: 'echo "words of nobody" > shared.txt' } }] }),
});

/** The first landing waits until the other's work is there, so that one meets the other. */
const WAIT_FOR_BOTH = `
[ "$1" = refs/heads/main ] || exit 0
for i in $(seq 100); do
  [ $(git for-each-ref refs/agentswarm/runs/ | wc -l) -ge 2 ] && exit 0
  sleep 0.1
done`;

describe('delivery', () => {
  const root = temporaryFolder();
  let http: GitHttpServer;
  let github: GitHubDouble;
  let hosted: TestRepository;

  beforeAll(async () => {
    mkdirSync(join(root.dir, 'octo'));
    hosted = bareRepository(join(root.dir, 'octo', 'app.git'));
    hosted.hook(
      'update',
      '[ "$1" != refs/heads/main ] || { echo "GH006: Protected branch update failed." >&2; exit 1; }',
    );
    http = await serveGit(root.dir);
    github = await startGitHubDouble({ repository: 'octo/app', token: TOKEN });
    github.tipOf = (branch) => hosted.tip(branch);
  }, 60_000);
  const swarm = useSwarm(() => ({
    script: scenarioScript({ two, held: careless('left', 'right'), told: careless('near', 'far') }),
    config: {
      github: { host: new URL(http.url('')).host, apiUrl: github.url, tokenEnv: 'E2E_GITHUB_TOKEN' },
      run: { maxAttempts: 1 },
    },
    env: { E2E_GITHUB_TOKEN: TOKEN },
  }));
  afterAll(async () => {
    await http?.close();
    await github?.close();
    root.remove();
  });

  const proposed = (id: string) =>
    swarm.run(id, {
      repo: http.url('octo/app.git'),
      spec: specOf('two'),
      branch: 'main',
      settings: { deliver: 'pull-request' },
    });

  it('lands on a branch of the run where the target is protected, and proposes it once, with the report', async () => {
    const report = await proposed('run-pr');
    expect(report).toMatchObject({
      status: 'complete',
      landed: 2,
      target: 'agentswarm/run-pr',
      pullRequest: { number: 1, into: 'main', state: 'open', url: github.pulls[0]?.html_url },
    });
    expect(github.pulls).toHaveLength(1);
    expect(github.pulls[0]).toMatchObject({
      head: { ref: 'agentswarm/run-pr', sha: report.tip },
      base: { ref: 'main' },
    });
    expect(github.pulls[0]?.body).toMatch(/Run run-pr: complete[\s\S]*- one: complete, landed/);
    expect(hosted.log('main')).toEqual(['first']);
    const answered = github.requests.map(({ line }) => line.replace(/\?.*/, ''));
    expect(answered).toEqual(['GET /repos/octo/app', 'GET /repos/octo/app/pulls', 'POST /repos/octo/app/pulls']);
    const secret = [{ name: 'token', value: TOKEN }];
    expect(canariesIn(readFileSync(swarm.logFile), secret)).toEqual([]);
    expect(canariesBelow(swarm.stateDir, secret)).toEqual([]);
    const history = await swarm.client.workflow.getHandle('run-pr').fetchHistory();
    const told = readableText(JSON.parse(historyToJSON(history)));
    expect(told).toContain('https://github.example/octo/app/pull/1');
    expect(canariesIn(told, secret)).toEqual([]);
  }, 60_000);

  it('without a protected target is refused by the host, and the reason names the way out', async () => {
    const report = await swarm.run('run-push', { repo: http.url('octo/app.git'), spec: specOf('two'), branch: 'main' });
    expect(report).toMatchObject({ status: 'failed', landed: 0 });
    expect(report.reason).toMatch(/GH006[\s\S]*"deliver": "pull-request"/);
    expect(hosted.refs('refs/agentswarm/runs/run-push/')).not.toEqual([]);
  }, 60_000);

  it('that the host does not take costs a note: the work is on the branch', async () => {
    github.next = [undefined, GITHUB_SAYS.noRights];
    const report = await proposed('run-no-rights');
    expect(report).toMatchObject({ status: 'complete', landed: 2, target: 'agentswarm/run-no-rights' });
    expect(report.pullRequest).toBeUndefined();
    expect(report.notes.join('\n')).toMatch(
      /no pull request into main could be opened[\s\S]*right to write pull requests/,
    );
    expect(hosted.files('agentswarm/run-no-rights')).toHaveProperty(['two.txt']);
  }, 60_000);

  it('of a resolution that throws away what had landed is held with "hold", and told with "report"', async () => {
    const repository = bareRepository(join(root.dir, 'guarded.git'));
    repository.hook('update', WAIT_FOR_BOTH);
    const run = (id: string, spec: string, guard: 'hold' | 'report') =>
      swarm.run(id, { repo: repository.dir, spec: specOf(spec), branch: 'main', settings: { guard } });
    const held = await run('run-held', 'held', 'hold');
    const [ejected] = held.tasks.filter(({ branch }) => branch === 'ejected');
    expect(held).toMatchObject({ status: 'incomplete', landed: 1 });
    expect(ejected?.reason).toMatch(
      /^held, as it would remove .*shared\.txt: 1 line of run-held\/\w+\.1 \(words of \w+\)/,
    );
    expect(repository.refs('refs/agentswarm/')).toContain(ejected?.ref);
    expect(repository.files('main')['shared.txt']).toMatch(/words of (left|right)/);

    repository.commit({ 'shared.txt': null });
    const told = await run('run-told', 'told', 'report');
    expect(told).toMatchObject({ status: 'complete', landed: 2 });
    expect(told.tasks.flatMap(({ warning = [] }) => warning)).toEqual([
      expect.stringMatching(
        /removed what others had landed .*shared\.txt: 1 line of run-told\/\w+\.1 \(words of \w+\)/,
      ),
    ]);
    expect(repository.files('main')['shared.txt']).toBe('100644 words of nobody\n');

    const warned = told.tasks.find(({ warning }) => warning !== undefined)?.id ?? '';
    const other = warned === 'near' ? 'far' : 'near';
    const transcript = await swarm.client.workflow.getHandle(`run-told/${warned}.1/conflict.1`).query(transcriptQuery);
    const brief = transcript.flatMap((message) => (message.role === 'user' ? [message.text] : [])).join('\n');
    expect(brief).toContain('- shared.txt: add/add: Merge conflict in shared.txt');
    expect(brief).toMatch(new RegExp(`task ${other} .commit [0-9a-f]{10}.: its assignment">\nDo ${other}`));
  }, 120_000);
});
