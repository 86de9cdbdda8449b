import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGitHub } from '../../../src/activities/deliver/github.ts';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { createPrepareRun } from '../../../src/activities/run/prepare.ts';
import { createRegistryFinder } from '../../../src/activities/sandbox/registries/find.ts';
import { Config, type ConfigInput } from '../../../src/shared/config/worker-config.ts';
import { PlannerInput } from '../../../src/shared/contracts/run.ts';
import { failureTypeOf } from '../../../src/shared/base/failures.ts';
import type { RunSettingsInput } from '../../../src/shared/contracts/run-settings.ts';
import { type GitHttpServer, serveGit } from '../../support/git-http.ts';
import { startGitHubDouble } from '../../support/github-double.ts';
import { bareRepository, gitIn, temporaryFolder, type TestRepository } from '../../support/repos.ts';
import { recordingLog } from '../../support/run-context.ts';
import { startMirror } from '../sandbox/registries/mirror.ts';

const folder = temporaryFolder();
let count = 0;
let dir: string;
let repository: TestRepository;
let http: GitHttpServer | undefined;

beforeEach(() => {
  dir = join(folder.dir, String(count++));
  repository = bareRepository(join(dir, 'origin.git'), { 'SPEC.md': '# Build it\n', 'docs/spec-notes.md': 'x\n' });
});
afterEach(async () => {
  await http?.close();
  http = undefined;
});
afterAll(() => folder.remove());

const root = { workflowId: 'run-1', firstRunId: 'first-1' };

function prepare(
  input: Partial<PlannerInput> = {},
  options: { run?: RunSettingsInput; unsafe?: boolean; github?: ConfigInput['github']; env?: NodeJS.ProcessEnv } = {},
) {
  const activity = createPrepareRun({
    mirrors: createMirrors({ dir: join(dir, 'mirrors') }),
    config: { run: options.run ?? {} },
    sandboxUnsafe: options.unsafe ?? false,
    github: createGitHub({
      config: Config.parse({ github: options.github ?? {} }).github,
      env: { AGENTSWARM_GITHUB_TOKEN: 'token' },
      log: recordingLog(),
    }),
    finder: createRegistryFinder({
      dir: join(dir, 'registries'),
      env: options.env ?? process.env,
      log: recordingLog(),
    }),
    log: recordingLog(),
  });
  return activity({ input: PlannerInput.parse({ repo: repository.dir, spec: 'SPEC.md', ...input }), root });
}

async function failure(promise: Promise<unknown>) {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApplicationFailure)) throw error;
  return { type: failureTypeOf(error), retryable: error.nonRetryable !== true, message: error.message };
}

async function serve(): Promise<string> {
  http = await serveGit(dir);
  return http.url('origin.git');
}

const refsOfRun = () => repository.refs('refs/agentswarm/');

describe('a repository that can be used', () => {
  it('gets a branch of the run at its default branch, and nothing else is left on it', async () => {
    const { context, notes, unsafe } = await prepare();
    expect(context).toMatchObject({ root, base: repository.tip(), target: 'agentswarm/run-1' });
    expect(context.repo.location).toBe(repository.dir);
    expect(repository.tip('agentswarm/run-1')).toBe(repository.tip());
    expect(refsOfRun()).toEqual([]);
    expect(notes).toEqual([]);
    expect(unsafe).toBe(false);
  });

  it('is prepared the same by another attempt', async () => {
    const first = await prepare();
    expect(await prepare()).toEqual(first);
  });

  it('is used over HTTP as well', async () => {
    const url = await serve();
    const { context } = await prepare({ repo: url });
    expect(context.repo.location).toBe(url);
    expect(repository.tip('agentswarm/run-1')).toBe(repository.tip());
    expect(refsOfRun()).toEqual([]);
  });

  it('starts from the base that is named', async () => {
    const old = repository.tip();
    repository.git('branch', 'release', old);
    repository.commit({ 'a.txt': 'a' });
    expect((await prepare({ base: 'release' })).context.base).toBe(old);
    expect(repository.tip('agentswarm/run-1')).toBe(old);
  });

  it('keeps a target that is there and says how it stands to the base', async () => {
    const ahead = repository.commit({ 'a.txt': 'a' }, { branch: 'feature', parent: repository.tip() });
    const { context, notes } = await prepare({ branch: 'feature' });
    expect(context.target).toBe('feature');
    expect(repository.tip('feature')).toBe(ahead);
    expect(notes).toEqual([expect.stringMatching(/^The branch feature is there already, 1 commits ahead of the base/)]);
  });

  it('lands on main without a note when main is named', async () => {
    const { context, notes } = await prepare({ branch: 'main' });
    expect([context.target, notes]).toEqual(['main', []]);
  });

  it('passes on that sandboxes are not isolated', async () => {
    expect((await prepare({}, { unsafe: true })).unsafe).toBe(true);
  });
});

describe('settings', () => {
  it('with setup "auto" have the command that the files call for, and the registry that its client names, which a note tells', {
    timeout: 60_000,
  }, async () => {
    const mirror = await startMirror();
    const env = { ...process.env, npm_config_registry: `${mirror.origin}/npm/` };
    repository.commit({ 'package.json': '{}', 'package-lock.json': '{}', 'agentswarm.json': '{"setup":"auto"}' });
    const { context, notes } = await prepare({}, { env });
    expect(context.settings.setup).toEqual({
      command: 'npm ci --no-audit --no-fund',
      keyFiles: ['package.json', 'package-lock.json'],
      network: { allow: [mirror.index, mirror.files] },
      timeoutMinutes: 15,
    });
    expect(notes).toEqual([
      expect.stringMatching(
        `npm ci.*detected from package-lock\\.json; network: ${mirror.index}, ${mirror.files} for npm, named by npm`,
      ),
    ]);
    mirror.close();
    const off = await prepare({ settings: { setup: null } });
    expect([off.context.settings.setup, off.notes]).toEqual([null, []]);
  });

  it('that are detected and whose registry nobody names fail before anything is made, with the setting to write', async () => {
    repository.commit({ 'pyproject.toml': '[project]', 'uv.lock': '', 'agentswarm.json': '{"setup":"auto"}' });
    const { type, retryable, message } = await failure(prepare({}, { env: { PATH: dir } }));
    expect([type, retryable]).toEqual(['BadInput', false]);
    expect(message).toMatch(/uv is not on the worker's PATH[\s\S]*"setup": \{"network": \{"allow": \[/);
    expect(repository.refs()).toEqual(['refs/heads/main']);
    const said = { setup: { network: { allow: ['pypi.example'] }, timeoutMinutes: 15 } };
    const { context } = await prepare({ settings: said }, { env: { PATH: dir } });
    expect(context.settings.setup).toMatchObject({ command: 'uv sync --frozen', network: { allow: ['pypi.example'] } });
  });

  it('without setup install nothing, and a note says what could be', async () => {
    repository.commit({ 'requirements.txt': 'a==1\n' });
    const { context, notes } = await prepare();
    expect(context.settings.setup).toBeNull();
    expect(notes).toEqual([expect.stringMatching(/no dependencies: requirements\.txt is there.*"setup": "auto"/)]);
  });

  it('come from the input over agentswarm.json over the worker, each key by itself', async () => {
    repository.commit({ 'agentswarm.json': JSON.stringify({ maxWorkers: 3, maxAttempts: 4 }) });
    const run = { maxWorkers: 2, maxAttempts: 5, replanAfter: 7 };
    const { context } = await prepare({ settings: { maxWorkers: 1 } }, { run });
    expect(context.settings).toMatchObject({ maxWorkers: 1, maxAttempts: 4, replanAfter: 7, conflictTries: 2 });
  });

  it('are read at the base, not at the tip of the target', async () => {
    repository.commit({ 'agentswarm.json': '{"maxWorkers": 3}' });
    const tip = repository.tip();
    repository.commit({ 'agentswarm.json': '{"maxWorkers": 900}' }, { branch: 'agentswarm/run-1', parent: tip });
    expect((await prepare()).context.settings.maxWorkers).toBe(3);
  });

  it('with an unknown or wrong key are refused by file and key', async () => {
    repository.commit({ 'agentswarm.json': '{"maxWorker": 3, "agent": {"worker": {"turns": "many"}}}' });
    const { type, retryable, message } = await failure(prepare());
    expect([type, retryable]).toEqual(['BadInput', false]);
    expect(message).toMatch(/agentswarm\.json at [0-9a-f]{10} of .*origin\.git/);
    expect(message).toContain('"maxWorker"');
    expect(message).toContain('agentswarm.json.agent.worker.turns');
  });

  it('that are not JSON are refused', async () => {
    repository.commit({ 'agentswarm.json': '{maxWorkers: 3}' });
    expect(await failure(prepare())).toMatchObject({
      type: 'BadInput',
      message: expect.stringContaining('is not JSON'),
    });
  });
});

describe('the spec', () => {
  it('that is missing is answered with files of similar names', async () => {
    const { type, message } = await failure(prepare({ spec: 'docs/spec.md' }));
    expect(type).toBe('RepositoryUnusable');
    expect(message).toMatch(
      /the spec "docs\/spec.md" is not in commit [0-9a-f]{10} of .*\nSimilar files there: docs\/spec-notes.md, /,
    );
  });

  const wrong: [what: string, content: string | Buffer, says: RegExp][] = [
    ['empty', ' \n\t\n', /is empty/],
    ['not text', Buffer.from([0x25, 0, 1]), /is not text/],
  ];
  for (const [what, content, says] of wrong) {
    it(`that is ${what} is refused`, async () => {
      repository.commit({ 'SPEC.md': content });
      expect(await failure(prepare())).toMatchObject({ type: 'BadInput', message: expect.stringMatching(says) });
    });
  }

  it('may be a folder, unless nothing in it is text or it is very large', async () => {
    repository.commit({ 'pictures/a.png': Buffer.from([0x25, 0, 1]) });
    await expect(prepare({ spec: 'docs/' })).resolves.toBeDefined();
    expect(await failure(prepare({ spec: 'pictures' }))).toMatchObject({
      type: 'BadInput',
      message: expect.stringMatching(/the spec "pictures" .* is a folder without a text/),
    });
    repository.commit(Object.fromEntries(Array.from({ length: 201 }, (_, i) => [`many/${i}.md`, 'x'])));
    expect((await failure(prepare({ spec: 'many' }))).message).toMatch(
      /is a folder of 201 files; at most 200 are read/,
    );
  });

  it('that is a link or out of the repository is refused', async () => {
    repository.commit({ 'link.md': { mode: '120000', content: 'SPEC.md' } });
    expect((await failure(prepare({ spec: 'link.md' }))).message).toMatch(/is a symbolic link/);
    expect((await failure(prepare({ spec: '../SPEC.md' }))).message).toMatch(/leads out/);
  });

  it('can be given as text, but not as blanks', async () => {
    await expect(prepare({ spec: { text: 'Build it' } })).resolves.toBeDefined();
    expect(await failure(prepare({ spec: { text: ' \n' } }))).toMatchObject({ type: 'BadInput', retryable: false });
  });

  it('can be given as the files of a folder; what is not in the repository must be short enough to be shown whole', async () => {
    const files = [{ path: 'a.md', text: 'Build it' }];
    await expect(prepare({ spec: { files } })).resolves.toBeDefined();
    for (const spec of [{ text: 'ä'.repeat(100_001) }, { files: [...files, { path: 'b', text: 'ä'.repeat(100_000) }] }])
      expect((await failure(prepare({ spec }))).message).toMatch(/has 2000\d\d bytes; at most 200000 are shown/);
  });
});

describe('what a person got wrong', () => {
  it('a base that is not there is answered with the branches that are, nearest first', async () => {
    for (const name of ['develop', 'release-1', 'zebra']) repository.git('branch', name);
    const { type, retryable, message } = await failure(prepare({ base: 'devlop' }));
    expect([type, retryable]).toEqual(['RepositoryUnusable', false]);
    expect(message).toMatch(/no branch or tag "devlop"\nName the base: it has develop, /);
  });

  it('an empty repository has nothing to start from', async () => {
    repository = bareRepository(join(dir, 'empty.git'), null);
    expect(await failure(prepare())).toMatchObject({
      type: 'RepositoryUnusable',
      message: expect.stringMatching(/no branch yet/),
    });
  });

  it('a name of a branch that git does not allow is refused before anything is made', async () => {
    expect(await failure(prepare({ branch: 'a..b' }))).toMatchObject({
      type: 'BadInput',
      message: expect.stringMatching(/"a\.\.b"/),
    });
    expect(repository.refs()).toEqual(['refs/heads/main']);
  });

  it('a path or URL without a repository is refused', async () => {
    expect(await failure(prepare({ repo: join(dir, 'nowhere') }))).toMatchObject({
      type: 'RepositoryUnusable',
      retryable: false,
    });
    const url = (await serve()).replace('origin.git', 'nowhere.git');
    expect(await failure(prepare({ repo: url }))).toMatchObject({
      type: 'RepositoryUnusable',
      retryable: false,
      message: expect.stringContaining(url),
    });
  });

  it('a remote that refuses refs is told in its own words, with the remedy', async () => {
    repository.hook('pre-receive', 'echo "only robots with a licence" >&2; exit 1');
    const { type, retryable, message } = await failure(prepare());
    expect([type, retryable]).toEqual(['RepositoryUnusable', false]);
    expect(message).toMatch(
      /tried to create and delete a ref of .*only robots with a licence[\s\S]*refs\/agentswarm\//,
    );
    expect(repository.refs()).toEqual(['refs/heads/main']);
  });

  it('a remote that refuses the branch is told in its own words', async () => {
    repository.hook('update', 'case "$1" in refs/heads/*) echo "heads are frozen" >&2; exit 1;; esac');
    expect(await failure(prepare())).toMatchObject({
      retryable: false,
      message: expect.stringContaining('heads are frozen'),
    });
    expect(refsOfRun()).toEqual([]);
  });

  it('a remote that wants a login says how the worker logs in', async () => {
    http = await serveGit(dir, { auth: { user: 'someone', password: 'unknown' } });
    expect(await failure(prepare({ repo: http.url('origin.git') }))).toMatchObject({
      type: 'RepositoryUnusable',
      retryable: false,
      message: expect.stringMatching(/tried to read the branches of [\s\S]*AGENTSWARM_GIT_TOKEN/),
    });
  });

  it('a remote that lets the worker read only says which rights it needs', async () => {
    const url = await serve();
    if (http !== undefined) http.faults = { status: { on: 'push', code: 403 } };
    expect(await failure(prepare({ repo: url }))).toMatchObject({
      type: 'RepositoryUnusable',
      message: expect.stringMatching(/403[\s\S]*Allow the worker to create and delete refs/),
    });
  });

  it('a host that cannot be reached is tried again, with what was tried', async () => {
    const url = await serve();
    await http?.close();
    http = undefined;
    const { retryable, message } = await failure(prepare({ repo: url }));
    expect(retryable).toBe(true);
    expect(message).toMatch(/^tried to read the branches of http.*(?:[Cc]onnection refused|connect to)/);
    expect(message.length).toBeLessThan(2_000);
  });
});

describe('an ordinary repository', () => {
  let work: string;
  beforeEach(() => {
    work = join(dir, 'my work');
    mkdirSync(work);
    gitIn(work, ['init', '--quiet', '--initial-branch=main']);
    writeFileSync(join(work, 'SPEC.md'), '# Build it\n');
    gitIn(work, ['add', '.']);
    gitIn(work, ['commit', '--quiet', '-m', 'first']);
  });

  it('whose target is checked out gets the work on a branch of the run, and is told how to take it over', async () => {
    const { context, notes } = await prepare({ repo: work, branch: 'main' });
    expect(context.target).toBe('agentswarm/run-1');
    expect(notes[0]).toMatch(/^main is checked out in .*my work.*work lands on agentswarm\/run-1 instead\.$/);
    expect(notes[1]).toContain(`git -C '${work}' merge --ff-only agentswarm/run-1`);
  });

  it('can be taken over with exactly the command of the note', async () => {
    const { context, notes } = await prepare({ repo: work, branch: 'main' });
    gitIn(work, [
      'update-ref',
      `refs/heads/${context.target}`,
      gitIn(work, ['commit-tree', 'HEAD^{tree}', '-p', 'HEAD', '-m', 'landed']),
    ]);
    const command = /git -C .*$/m.exec(notes.join('\n'))?.[0] ?? '';
    const { execFileSync } = await import('node:child_process');
    execFileSync('sh', ['-c', command], { stdio: 'pipe' });
    expect(gitIn(work, ['log', '-1', '--format=%s', 'main'])).toBe('landed');
  });

  it('whose owner has the branch of the run checked out gets another one', async () => {
    gitIn(work, ['checkout', '--quiet', '-b', 'agentswarm/run-1']);
    const { context, notes } = await prepare({ repo: work });
    expect(context.target).toBe('agentswarm/run-1-2');
    expect(notes[0]).toMatch(/^agentswarm\/run-1 is checked out/);
  });

  it('keeps the target that was asked for when nobody has it checked out', async () => {
    const { context, notes } = await prepare({ repo: work, branch: 'feature' });
    expect(context.target).toBe('feature');
    expect(notes).toEqual([expect.stringMatching(/^Work lands on the branch feature of .*merge --ff-only feature$/)]);
    expect(gitIn(work, ['rev-parse', 'feature'])).toBe(gitIn(work, ['rev-parse', 'main']));
  });
});

describe('a run that ends in a pull request', () => {
  const deliver = { deliver: 'pull-request' } as const;

  it('lands on its own branch also where the base is named, and keeps what it is proposed to', async () => {
    const double = await startGitHubDouble({ repository: 'octo/app', token: 'token' });
    const remote = bareRepository(join(dir, 'octo', 'app.git'), { 'SPEC.md': '# Build it\n' });
    await serve();
    const location = http?.url('octo/app.git') ?? '';
    const github = { host: new URL(location).host, apiUrl: double.url };
    const { context, notes } = await prepare({ repo: location, branch: 'main', settings: deliver }, { github });
    expect(context).toMatchObject({ target: 'agentswarm/run-1', pullRequest: { into: 'main' } });
    expect(notes).toContain('Work lands on agentswarm/run-1, and is proposed to main by a pull request at the end.');
    expect(remote.refs('refs/heads/')).toEqual(['refs/heads/agentswarm/run-1', 'refs/heads/main']);
    const own = await prepare({ repo: location, branch: 'mine', settings: deliver }, { github });
    expect(own.context).toMatchObject({ target: 'mine', pullRequest: { into: 'main' } });
    expect(double.requests.map(({ line }) => line)).toEqual(['GET /repos/octo/app', 'GET /repos/octo/app']);
    await double.close();
  });

  it('is refused before anything is made where the repository is not on that host, or the base is no branch', async () => {
    expect(await failure(prepare({ settings: deliver }))).toMatchObject({
      type: 'BadInput',
      message: expect.stringContaining('wants a repository on github.com'),
    });
    expect(await failure(prepare({ base: repository.tip(), settings: deliver }))).toMatchObject({
      type: 'BadInput',
      message: expect.stringContaining('wants a branch to propose to'),
    });
    expect(repository.refs('refs/heads/')).toEqual(['refs/heads/main']);
  });
});
