/** What people, remotes and models get wrong: each ends with a clear reason, and leaves nothing behind. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Conversation,
  roleOf,
  type Script,
  taskOf,
  userTexts,
} from '../../examples/scripted-model/conversation.ts';
import type { PlanningView } from '../../examples/scripted-model/planning.ts';
import { check } from '../../examples/scripted-model/steps.ts';
import { startScriptedModel } from '../../examples/scripted-model/server.ts';
import { findServer } from '../../infra/temporal/find.mjs';
import type { PlannerInput, RunReport } from '../../src/shared/contracts/run.ts';
import { rootMessage } from '../../src/shared/base/failures.ts';
import { type GitHttpServer, serveGit } from '../support/git-http.ts';
import { bareRepository, type TestRepository } from '../support/repos.ts';
import { rawMessages } from '../support/raw-messages.ts';
import { planned, scenarioScript, specOf, writes } from '../support/scenarios.ts';
import { Swarm } from '../support/swarm.ts';
import { temporal } from '../support/temporal.ts';
import { useSwarm } from '../support/use-swarm.ts';

/** Given out once, whatever comes of it. */
const once = (id: string) => (view: PlanningView) => ({
  tasks: view.planned.size > 0 ? [] : [planned(id)],
  done: true,
});

const scenarios = scenarioScript({
  good: { plan: () => ({ tasks: [planned('good')], done: true }), tasks: { good: writes({ 'good.txt': 'good\n' }) } },
  chain: {
    plan: () => ({ tasks: [planned('first'), planned('later', { dependsOn: ['first'] })], done: true }),
    tasks: { first: writes({ 'first.txt': '1\n' }), later: writes({ 'later.txt': '2\n' }) },
  },
  large: {
    plan: () => ({ tasks: [planned('large')], done: true }),
    tasks: {
      large: () => ({
        steps: [
          check(
            'Is a large file refused?',
            '! head -c 5000000 /dev/zero > large.bin && rm large.bin && echo kept > small.txt',
          ),
        ],
        handoff: { status: 'complete', summary: 'Only the small file is kept.' },
      }),
    },
  },
  talking: { plan: once('talker'), tasks: {} },
  garbling: { plan: once('garbler'), tasks: {} },
  full: { plan: once('full'), tasks: { full: writes({ 'more.txt': 'more\n' }) } },
});

/** Models that do not play their part. */
const script: Script = {
  name: 'bad',
  answer(conversation: Conversation) {
    const spec = userTexts(conversation).join('\n');
    const task = taskOf(conversation);
    if (roleOf(conversation) === 'planner') {
      if (/Scenario: prose/.test(spec)) return { text: 'Here is what I would do: nothing.', calls: [] };
      if (/Scenario: rubbish/.test(spec)) {
        return { text: '', calls: [{ name: 'submit_plan', arguments: { tasks: 'all of them', done: 'yes' } }] };
      }
    } else if (task === 'talker') return { text: 'I am sure that it works.', calls: [] };
    else if (task === 'garbler') {
      return { text: '', calls: [{ name: 'delete_everything', arguments: { path: '/' } }] };
    }
    return scenarios.answer(conversation);
  },
};

const failureOf = async (handle: WorkflowHandle): Promise<string> => {
  try {
    return `it did not fail: ${JSON.stringify(await handle.result())}`;
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    return rootMessage(error.cause);
  }
};

describe('bad input', () => {
  const swarm = useSwarm({
    script,
    config: { sandbox: { limits: { fileSizeMb: 1 } }, run: { planningFailures: 2, maxAttempts: 1 } },
  });
  let origin: TestRepository;
  let http: GitHttpServer;
  let binary: string;
  let unreachable: WorkflowHandle;

  beforeAll(async () => {
    binary = (await findServer()).file;
    origin = bareRepository(join(swarm.dir, 'origin.git'), {
      'README.md': '# test\n',
      'EMPTY.md': '\n \n',
      'docs/SPEC.md': 'Scenario: good\n',
    });
    http = await serveGit(swarm.dir);
    // Tried for half a minute: begun first, looked at last.
    unreachable = await swarm.start('bad-unreachable', { repo: 'http://127.0.0.1:9/x.git', spec: specOf('good') });
  }, 90_000);

  afterAll(() => http?.close());

  const temporalCli = async (...argv: string[]): Promise<{ code: number; said: string }> => {
    try {
      const { stdout, stderr } = await promisify(execFile)(binary, [...argv, '--address', swarm.address]);
      return { code: 0, said: stdout + stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, said: stdout + stderr };
    }
  };
  const startByCli = (id: string, ...input: string[]) =>
    temporalCli(
      'workflow',
      'start',
      '--type',
      'planner',
      '--task-queue',
      swarm.taskQueue,
      '--workflow-id',
      id,
      ...input,
    );

  test("a run started with nothing but Temporal's own command line lands", async () => {
    const input = JSON.stringify({ repo: origin.dir, spec: 'docs/SPEC.md', branch: 'by-cli' });
    expect(await startByCli('bad-not-at-all', '--input', input)).toMatchObject({ code: 0 });
    const report = (await swarm.client.workflow.getHandle('bad-not-at-all').result()) as RunReport;
    expect(report).toMatchObject({ status: 'complete', landed: 1 });
    expect(origin.files('by-cli')['good.txt']).toBe('100644 good\n');
  }, 60_000);

  test('input that is no JSON is refused before anything starts', async () => {
    const { code, said } = await startByCli('bad-not-json', '--input', 'nonsense');
    expect(code).not.toBe(0);
    expect(said).toMatch(/not valid JSON/i);
  });

  test.each([
    ['a word', '"nonsense"', /input of workflow "planner" is not usable:\n.*expected object/],
    ['an unknown field', '{"repo":"/x","spec":"y","brunch":"main"}', /Unrecognized key: "brunch"/],
    [
      'an unknown setting',
      '{"repo":"/x","spec":"y","settings":{"maxWorker":2}}',
      /settings: Unrecognized key: "maxWorker"/,
    ],
    ['no spec', '{"repo":"/x"}', /has no spec/],
    ['an empty spec', '{"repo":"/x","spec":{"text":""}}', /the text of the spec is empty/],
    ['no repository', '{"spec":"y"}', /repo: /],
  ])('%s as input fails the run, naming it', async (name, input, expected) => {
    const id = `bad-input-${name.replaceAll(' ', '-')}`;
    expect(await startByCli(id, '--input', input)).toMatchObject({ code: 0 });
    expect(await failureOf(swarm.client.workflow.getHandle(id))).toMatch(expected);
  });

  test('input that claims to be JSON and is not fails the run at once, with what could not be read', async () => {
    await rawMessages(swarm.client).start('planner', 'bad-undecodable', swarm.taskQueue, '{"repo": ');
    expect(await failureOf(swarm.client.workflow.getHandle('bad-undecodable'))).toMatch(
      /input of the workflow is not usable: argument 1 cannot be decoded \(encoding "json\/plain", 9 bytes: .*JSON.*Send JSON/s,
    );
  });

  test('signals that cannot be decoded are dropped with a line in the log, updates refused; the run goes on', async () => {
    const raw = rawMessages(swarm.client);
    const handle = await swarm.start('bad-signals', { repo: origin.dir, spec: specOf('good'), branch: 'signalled' });
    for (const name of ['handoff', 'outcome']) await raw.signal('bad-signals', name, 'nonsense');
    for (const name of ['steer', 'pause', 'resume']) {
      expect(await raw.update('bad-signals', name, '{')).toMatch(
        new RegExp(`update "${name}" is not usable: argument 1 cannot be decoded`),
      );
    }
    expect(await handle.result()).toMatchObject({ status: 'complete', landed: 1 });
    expect(swarm.logTail(1_000_000)).toMatch(/"signal":"handoff".*a signal is dropped/);
  }, 60_000);

  const wrong: [string, () => PlannerInput, RegExp][] = [
    [
      'no repository is there',
      () => ({ repo: '/nowhere/at/all', spec: specOf('good') }),
      /\/nowhere\/at\/all cannot be opened \(ENOENT\)\nCheck the path/,
    ],
    [
      'the host knows no such repository',
      () => ({ repo: http.url('no.git'), spec: specOf('good') }),
      /read the branches of .*no\.git.*not found.*Check the name/is,
    ],
    ['the repository is no repository', () => ({ repo: swarm.stateDir, spec: specOf('good') }), /repository/i],
    [
      'the URL has a password in it',
      () => ({ repo: 'https://me:pass@example.org/x.git', spec: specOf('good') }),
      /user/i,
    ],
    ['the base is no branch', () => ({ repo: origin.dir, base: 'mian', spec: specOf('good') }), /mian[\s\S]*main/],
    ['the branch has no possible name', () => ({ repo: origin.dir, branch: 'a..b', spec: specOf('good') }), /a\.\.b/],
    [
      'the spec is not there',
      () => ({ repo: origin.dir, spec: 'SPEC.md' }),
      /"SPEC\.md" is not in commit[\s\S]*docs\/SPEC\.md/,
    ],
    ['the spec is empty', () => ({ repo: origin.dir, spec: 'EMPTY.md' }), /"EMPTY\.md".* is empty/],
    ['the spec is outside', () => ({ repo: origin.dir, spec: '../SPEC.md' }), /spec: /],
  ];
  test.each(wrong)('a run fails at once and says so when %s', async (name, input, expected) => {
    const before = origin.refs();
    const handle = await swarm.start(`bad-${name.replaceAll(' ', '-')}`, input());
    const failure = await failureOf(handle);
    expect(failure).toMatch(expected);
    expect(failure).not.toMatch(/me:pass/);
    expect(origin.refs()).toEqual(before);
  });

  test.each([
    ['prose', /answered 3 times without calling a tool/],
    ['rubbish', /limit of 4 turns|same call gave the same result/],
  ])(
    'a planner whose model answers %s pauses the run with the reason, and can be cancelled',
    async (name, expected) => {
      const handle = await swarm.start(`bad-${name}`, {
        repo: origin.dir,
        spec: specOf(name),
        branch: 'main',
        settings: { agent: { planner: { turns: 4, tokens: 1_000_000, minutes: 5 } } },
      });
      const { paused } = await swarm.until(`bad-${name}`, (snapshot) => snapshot.paused !== undefined, 30_000);
      expect(paused?.reason).toMatch(/Planning failed 2 times in a row/);
      expect(paused?.reason).toMatch(expected);
      await handle.cancel();
      await expect(handle.result()).rejects.toThrow(WorkflowFailedError);
    },
    60_000,
  );

  test.each([
    ['talking', 'talker', /without calling a tool/],
    ['garbling', 'garbler', /same call gave the same result|turns/],
  ])(
    'an agent whose model is only %s ends as a failed task, and the run as incomplete',
    async (name, task, expected) => {
      const report = await swarm.run(`bad-${name}`, { repo: origin.dir, spec: specOf(name), branch: 'main' });
      expect(report).toMatchObject({ status: 'incomplete', landed: 0, reason: `not landed: ${task}` });
      expect(report.tasks[0]?.reason).toMatch(expected);
    },
    60_000,
  );

  test('a file that is too large for the sandbox is refused there, and the agent goes on', async () => {
    const report = await swarm.run('bad-large', { repo: origin.dir, spec: specOf('large'), branch: 'large' });
    expect(report).toMatchObject({ status: 'complete', landed: 1 });
    expect(origin.files('large')).toMatchObject({ 'small.txt': '100644 kept\n' });
    expect(Object.keys(origin.files('large'))).not.toContain('large.bin');
  }, 60_000);

  test('a remote that lets nobody make the branch fails the run before a model is asked', async () => {
    const strict = bareRepository(join(swarm.dir, 'strict.git'));
    strict.hook('update', 'case "$1" in refs/heads/*) echo "branches are made by admins" >&2; exit 1;; esac');
    const asked = swarm.model.log.length;
    const failure = await failureOf(await swarm.start('bad-protected', { repo: strict.dir, spec: specOf('good') }));
    expect(failure).toMatch(/refused to create branch agentswarm\/bad-protected:\nbranches are made by admins/);
    expect(failure).toMatch(/Allow the worker to push to this branch, or name another one/);
    expect(swarm.model.log).toHaveLength(asked);
    expect(strict.refs()).toEqual(['refs/heads/main']);
  }, 30_000);

  test('a remote that begins to refuse ends the run as failed with its words; what was done is kept', async () => {
    const frozen = bareRepository(join(swarm.dir, 'frozen.git'));
    frozen.hook(
      'update',
      '[ "$1" = refs/heads/main ] || exit 0\n[ ! -e frozen ] || { echo "main is frozen" >&2; exit 1; }\ntouch frozen',
    );
    const report = await swarm.run('bad-frozen', { repo: frozen.dir, spec: specOf('chain'), branch: 'main' });
    expect(report).toMatchObject({ status: 'failed', landed: 1 });
    expect(report.reason).toMatch(/refuses pushes to main[\s\S]*main is frozen/);
    const later = report.tasks.find(({ id }) => id === 'later');
    expect(later?.ref).toMatch(/^refs\/agentswarm\/runs\/bad-frozen\//);
    expect(frozen.files(later?.ref)['later.txt']).toBe('100644 2\n');
    // Planned once more, as a hook may have meant what was in it; the second refusal ends the run.
    const again = report.tasks.find(({ id }) => id === 'later-r2');
    expect(new Set(frozen.refs())).toEqual(new Set([again?.ref, later?.ref, 'refs/heads/main']));
    expect(Object.keys(frozen.files('main'))).toContain('first.txt');
  }, 60_000);

  test('a host that cannot be reached is tried for a while, then fails the run with what to check', async () => {
    expect(await failureOf(unreachable)).toMatch(
      /read the branches of http:\/\/127\.0\.0\.1:9\/x\.git[\s\S]*Check the address/,
    );
  }, 90_000);

  test('nothing of all these runs is left', async () => {
    await swarm.settled();
    expect(origin.refs('refs/agentswarm/')).toEqual([]);
  }, 60_000);
});

describe('a worker that cannot work', () => {
  const start = async (options: Partial<Parameters<typeof Swarm.start>[0]>): Promise<Swarm> => {
    const { client, address, uniqueQueue } = await temporal();
    return Swarm.start({ client: await client(), address, taskQueue: uniqueQueue(), script, ...options });
  };

  test.each([
    [
      'its key is wrong',
      { apiKey: 'right', key: 'wrong' },
      /"scripted".*refuses the key from LLM_ENDPOINTS\[0\]\.apiKey/,
    ],
    ['its model is unknown', { model: 'gpt-99' }, /has no model "gpt-99".*It offers: scripted-1/],
  ])(
    'does not start when %s, and says what to correct',
    async (_name, { apiKey, key, model }: { apiKey?: string; key?: string; model?: string }, expected) => {
      const llm = await startScriptedModel({ script, ...(apiKey === undefined ? {} : { apiKey }) });
      const endpoint = {
        name: 'scripted',
        provider: 'openai',
        baseUrl: `${llm.url}/v1`,
        apiKey: key ?? 'any',
        models: { default: model ?? 'scripted-1' },
      };
      try {
        await expect(start({ endpoints: JSON.stringify([endpoint]) })).rejects.toThrow(expected);
      } finally {
        await llm.stop();
      }
    },
    60_000,
  );

  test('lets an agent know that its disk is full; the run ends incomplete, with that reason', async () => {
    const swarm = await start({
      config: { sandbox: { limits: { minFreeDiskMb: 1_000_000_000 } }, run: { maxAttempts: 1 } },
    });
    try {
      const origin = bareRepository(join(swarm.dir, 'origin.git'));
      const report = await swarm.run('bad-disk', { repo: origin.dir, spec: specOf('full'), branch: 'main' });
      expect(report).toMatchObject({ status: 'incomplete', landed: 0 });
      expect(report.tasks[0]?.reason).toMatch(/disk is full/);
      await swarm.settled();
      expect(origin.refs()).toEqual(['refs/heads/main']);
    } finally {
      await swarm.stop();
    }
  }, 60_000);
});
