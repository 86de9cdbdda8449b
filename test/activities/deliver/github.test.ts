import { ApplicationFailure } from '@temporalio/common';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createGitHub, type Proposal } from '../../../src/activities/deliver/github.ts';
import { Config } from '../../../src/shared/config/worker-config.ts';
import { GITHUB_SAYS, type GitHubDouble, startGitHubDouble } from '../../support/github-double.ts';
import { createTestLog } from '../../support/log.ts';

const TOKEN = 'github_pat_CANARY_0123456789';
const TIP = 'c'.repeat(40);
const proposal: Proposal = {
  location: 'https://github.com/octo/app.git',
  head: 'agentswarm/run-1',
  into: 'main',
  tip: TIP,
  title: 'AgentSwarm: run-1',
  report: '# Run run-1: complete',
};

let double: GitHubDouble;
let log: ReturnType<typeof createTestLog>;
beforeEach(async () => {
  double = await startGitHubDouble({ repository: 'octo/app', token: TOKEN });
  log = createTestLog();
});
afterEach(() => double.close());

const github = (env: Record<string, string> = { AGENTSWARM_GITHUB_TOKEN: TOKEN }, host = 'github.com') =>
  createGitHub({ config: Config.parse({ github: { apiUrl: double.url, host } }).github, env, log });
const propose = (more: Partial<Proposal> = {}) => github().propose({ ...proposal, ...more });
const lines = (): string[] => double.requests.map(({ line }) => line.replace(/\?.*/, ''));

async function failure(work: Promise<unknown>): Promise<ApplicationFailure> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApplicationFailure)) throw error;
  return error;
}

describe('a pull request', () => {
  test('is opened once, with the report as its body; the same again changes nothing', async () => {
    const opened = await propose();
    expect(opened).toEqual({
      kind: 'pull-request',
      number: 1,
      url: 'https://github.example/octo/app/pull/1',
      state: 'open',
      into: 'main',
    });
    expect(double.pulls[0]).toMatchObject({
      title: 'AgentSwarm: run-1',
      head: { ref: 'agentswarm/run-1' },
      base: { ref: 'main' },
    });
    expect(double.pulls[0]?.body).toContain('# Run run-1: complete');
    expect(await propose()).toEqual(opened);
    expect(lines()).toEqual(['GET /repos/octo/app/pulls', 'POST /repos/octo/app/pulls', 'GET /repos/octo/app/pulls']);
  });

  test('is updated where one is open, and keeps its title and what people wrote around the report', async () => {
    await propose();
    const pull = double.pulls[0];
    if (pull === undefined) return expect.fail('there is none');
    Object.assign(pull, { title: 'Ours', body: `Please review.\n\n${pull.body}\n\nFixes #7` });
    await propose({ report: '# Run run-1: incomplete' });
    expect(double.pulls).toHaveLength(1);
    expect(pull.title).toBe('Ours');
    expect(pull.body).toMatch(/^Please review\.[\s\S]*# Run run-1: incomplete[\s\S]*Fixes #7$/);
    expect(pull.body).not.toContain('run-1: complete');
  });

  test('whose answer was lost is found by the next attempt', async () => {
    double.loseCreated = true;
    expect((await failure(propose())).nonRetryable).not.toBe(true);
    expect(double.pulls).toHaveLength(1);
    expect(await propose()).toMatchObject({ number: 1, state: 'open' });
    expect(double.pulls).toHaveLength(1);
  });

  test('that exists and is not listed yet (422) is looked for again', async () => {
    await propose();
    double.lagging = true;
    expect(await propose({ report: 'newer' })).toMatchObject({ number: 1 });
    expect(double.pulls.map(({ body }) => body?.includes('newer'))).toEqual([true]);
  });

  test.each([
    ['merged', '2026-11-22T10:00:00Z'],
    ['closed', null],
  ])('that people have %s at this commit is left alone; a later commit gets a new one', async (state, merged_at) => {
    await propose();
    Object.assign(double.pulls[0] ?? {}, { state: 'closed', merged_at });
    expect(await propose()).toMatchObject({ number: 1, state });
    expect(double.pulls).toHaveLength(1);
    double.tipOf = () => 'd'.repeat(40);
    expect(await propose({ tip: 'd'.repeat(40) })).toMatchObject({ number: 2, state: 'open' });
  });

  test('of another base or another head is another one', async () => {
    await propose();
    await propose({ into: 'next' });
    await propose({ head: 'agentswarm/run-2' });
    expect(double.pulls.map(({ head, base }) => `${head.ref} ${base.ref}`)).toEqual([
      'agentswarm/run-1 main',
      'agentswarm/run-1 next',
      'agentswarm/run-2 main',
    ]);
  });

  test('is not opened where there is nothing to propose', async () => {
    double.tipOf = () => null;
    expect(await propose()).toEqual({ kind: 'nothing', reason: 'No commits between main and agentswarm/run-1' });
  });
});

describe('a host that does not take it', () => {
  test('and asks for time is asked again when it says', async () => {
    const soon = Math.floor(Date.now() / 1_000) + 600;
    double.next = [GITHUB_SAYS.rateLimit(soon), GITHUB_SAYS.secondaryLimit, GITHUB_SAYS.tooMany];
    const [primary, secondary, unknown] = [
      await failure(propose()),
      await failure(propose()),
      await failure(propose()),
    ];
    expect([primary, secondary, unknown].map(({ nonRetryable }) => nonRetryable === true)).toEqual([
      false,
      false,
      false,
    ]);
    const seconds = (error: ApplicationFailure): number => Number(error.nextRetryDelay) / 1_000;
    expect(seconds(primary)).toBeGreaterThan(590);
    expect(seconds(primary)).toBeLessThanOrEqual(601);
    expect([seconds(secondary), seconds(unknown)]).toEqual([90, 60]);
  });

  test('whose clock is wrong is not waited for longer than an hour', async () => {
    double.next = [GITHUB_SAYS.rateLimit(9_999_999_999), GITHUB_SAYS.rateLimit(0)];
    expect(Number((await failure(propose())).nextRetryDelay)).toBe(65 * 60_000);
    expect(Number((await failure(propose())).nextRetryDelay)).toBe(1_000);
  });

  test.each([
    [
      'a wrong token',
      GITHUB_SAYS.badCredentials,
      /Bad credentials\nThe token from AGENTSWARM_GITHUB_TOKEN is not taken/,
    ],
    ['missing rights', GITHUB_SAYS.noRights, /not accessible.*\n.*needs the right to write pull requests/],
    ['no such repository', GITHUB_SAYS.notFound, /tried to list the pull requests of octo\/app at http:.* 404/],
    ['a request that is not valid', GITHUB_SAYS.invalid('base is invalid'), /Validation Failed; base is invalid/],
  ])('for %s ends it, and says what to do', async (_, answer, message) => {
    double.next = [answer];
    const error = await failure(propose());
    expect(error).toMatchObject({
      nonRetryable: true,
      type: 'DeliveryRefused',
      message: expect.stringMatching(message),
    });
  });

  test('while it is down, or does not answer at all, is asked again', async () => {
    double.next = [GITHUB_SAYS.unavailable];
    expect(await failure(propose())).toMatchObject({ nonRetryable: false, message: expect.stringContaining('503') });
    await double.close();
    expect((await failure(propose())).nonRetryable).toBe(false);
    double = await startGitHubDouble({ repository: 'octo/app', token: TOKEN });
  });

  test('for any reason never shows the token', async () => {
    const answers = [
      GITHUB_SAYS.badCredentials,
      GITHUB_SAYS.noRights,
      GITHUB_SAYS.rateLimit(0),
      GITHUB_SAYS.unavailable,
    ];
    for (const answer of [...answers, GITHUB_SAYS.invalid('x'), { status: 401, body: { message: `no ${TOKEN}` } }]) {
      double.next = [answer];
      const error = await failure(propose());
      const seen = [error.message, error.stack, JSON.stringify(error), String(error.cause), JSON.stringify(log.lines)];
      expect(seen.filter((text) => text?.includes(TOKEN))).toEqual([]);
    }
    expect(double.requests.every(({ authorization }) => authorization === `token ${TOKEN}`)).toBe(true);
    expect(double.requests.some(({ line, body }) => `${line}${body}`.includes(TOKEN))).toBe(false);
  });
});

describe('before a run starts', () => {
  test('the repository is read with the token', async () => {
    await github().check(proposal.location);
    expect(double.requests).toMatchObject([{ line: 'GET /repos/octo/app', authorization: `token ${TOKEN}` }]);
  });

  test.each<[string, () => Promise<void>, RegExp]>([
    [
      'a repository elsewhere',
      () => github().check('https://gitlab.com/a/b.git'),
      /wants a repository on github\.com, and https:\/\/gitlab\.com/,
    ],
    ['a path', () => github().check('/srv/app.git'), /Set github\.host/],
    ['no token', () => github({}).check(proposal.location), /AGENTSWARM_GITHUB_TOKEN of the worker, which is not set/],
    [
      'an archived repository',
      () => ((double.archived = true), github().check(proposal.location)),
      /octo\/app on github\.com is archived/,
    ],
    [
      'a token that is not taken',
      () => github({ AGENTSWARM_GITHUB_TOKEN: 'x' }).check(proposal.location),
      /Bad credentials/,
    ],
  ])('%s is said', async (_, check, message) => {
    expect(await failure(check())).toMatchObject({ nonRetryable: true, message: expect.stringMatching(message) });
  });

  test.each([
    'http://git.example.com/api/v3',
    'http://127.0.0.1.evil.example/',
    'http://localhost:80@evil.example/',
    'ftp://x/',
  ])('a token is not to be sent to %s', (apiUrl) =>
    expect(Config.safeParse({ github: { apiUrl } }).success).toBe(false),
  );

  test('an enterprise host of its own is known by its name, and only there the token goes', async () => {
    const own = github({ AGENTSWARM_GITHUB_TOKEN: TOKEN }, 'git.example.com:8443');
    await own.check('https://git.example.com:8443/octo/app');
    await failure(own.check('https://github.com/octo/app'));
    expect(double.requests).toHaveLength(1);
  });
});
