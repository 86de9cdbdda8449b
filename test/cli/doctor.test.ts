import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { startLlmServer, type LlmServer } from '../support/llm-server.ts';
import { gitIn } from '../support/repos.ts';
import { cleanEnvironment, startCommand } from './fixture/command.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const Report = z.object({
  ready: z.boolean(),
  findings: z.array(
    z.object({
      name: z.string(),
      state: z.enum(['full', 'partly', 'missing']),
      found: z.string(),
      remedy: z.string().optional(),
      blocks: z.boolean().optional(),
    }),
  ),
});

describe('agentswarm doctor', { timeout: 60_000 }, () => {
  let dir: string;
  let server: LlmServer;
  beforeAll(async () => {
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'agentswarm-doctor-test-')));
    server = await startLlmServer();
    // A PATH with git and the tools of the system, and no bubblewrap.
    mkdirSync(join(dir, 'bin'));
    symlinkSync('/usr/bin/git', join(dir, 'bin/git'));
  });
  afterAll(async () => {
    await server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  const model = () => ({ OPENAI_API_KEY: 'key', OPENAI_MODEL: 'model-a', OPENAI_BASE_URL: server.openaiUrl });
  const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    startCommand(['doctor', '--state-dir', join(dir, 'state'), ...args], {
      cwd: dir,
      env: { ...cleanEnvironment(dir), ...env },
      main: MAIN,
    }).ended;
  const report = async (env: NodeJS.ProcessEnv, ...args: string[]) => {
    const ended = await run(['--json', ...args], env);
    const { ready, findings } = Report.parse(JSON.parse(ended.stdout));
    return { code: ended.code, ready, of: (name: string) => findings.find((each) => each.name === name) };
  };

  test('says that a run can start where nothing is missing, with each limit and who keeps it', async () => {
    const ended = await run([], model());
    expect(ended.stdout).toContain('A run can start here.');
    expect(ended.code).toBe(0);
    // It is in no repository.
    expect(ended.stdout).not.toMatch(/^\S+ +repository/m);
    for (const limit of ['memory', 'processes', 'open files', 'file size', 'CPU time', 'time', 'output', 'disk'])
      expect(ended.stdout).toMatch(new RegExp(`^(?:ok|partly) +limit: ${limit} +\\S`, 'm'));
    expect(ended.stdout).toMatch(/^ok +isolation +bubblewrap \d/m);
    expect(ended.stdout).toMatch(/^ok +system calls +filtered by seccomp/m);
    expect(ended.stdout).toMatch(/^ok +git +2\./m);
    expect(ended.stdout).toMatch(/^ok +merging +.*stdbuf/m);
  });

  test('says what a run would find in a repository: the one that is named, or the one that it stands in', async () => {
    const empty = join(dir, 'empty');
    gitIn(dir, ['init', '--quiet', '--initial-branch=trunk', empty]);
    const named = await run(['empty'], model());
    expect(named.code).toBe(1);
    expect(named.stdout).toMatch(/^REFUSED +repository +\/.*\/empty has no commit on trunk, its HEAD$/m);
    expect(named.stdout).toContain('A run would be refused here: repository.');

    const within = await startCommand(['doctor', '--state-dir', join(dir, 'state'), '--json'], {
      cwd: empty,
      env: { ...cleanEnvironment(dir), ...model() },
      main: MAIN,
    }).ended;
    const { ready, findings } = Report.parse(JSON.parse(within.stdout));
    expect({ code: within.code, ready }).toEqual({ code: 0, ready: true });
    expect(findings.filter(({ name }) => name.startsWith('repository'))).toMatchObject([
      { name: 'repository', state: 'missing', found: `${empty} has no commit on trunk, its HEAD` },
      { name: 'repository: changes', state: 'full' },
      { name: 'repository: checked out', state: 'full' },
      { name: 'repository: remotes', state: 'full', found: 'none' },
    ]);

    const elsewhere = await run(['https://host/x.git'], model());
    expect(elsewhere).toMatchObject({ code: 2, stdout: '' });
    expect(elsewhere.stderr).toContain('"https://host/x.git" is not on this machine');
  });

  test('exits with 1 when no model is configured, and names the variables', async () => {
    const { code, ready, of } = await report({});
    expect({ code, ready }).toEqual({ code: 1, ready: false });
    expect(of('models')).toMatchObject({ state: 'missing', blocks: true });
    expect(of('models')?.remedy).toContain('OPENAI_API_KEY');
    expect(of('isolation')?.blocks).toBeUndefined();
  });

  test('says that agents wait while no model can be reached, which keeps no run from starting', async () => {
    const { code, ready, of } = await report({ ...model(), OPENAI_BASE_URL: 'http://127.0.0.1:1/v1' });
    expect({ code, ready }).toEqual({ code: 0, ready: true });
    expect(of('models')).toMatchObject({ state: 'partly' });
    expect(of('models')?.remedy).toMatch(/agents wait until one is back.*cannot be reached/);
  });

  test('exits with 1 where agents cannot be isolated, with the line that installs bubblewrap', async () => {
    const { code, of } = await report({ ...model(), PATH: join(dir, 'bin') });
    expect(code).toBe(1);
    expect(of('isolation')).toMatchObject({ state: 'missing', blocks: true });
    expect(of('isolation')?.remedy).toContain('apt-get install -y bubblewrap');
  });

  test('says that agents are not isolated where the configuration allows that', async () => {
    writeFileSync(join(dir, 'unsafe.mjs'), 'export default { sandbox: { unsafe: true } };\n');
    const { code, of } = await report({ ...model(), PATH: join(dir, 'bin') }, '--config', 'unsafe.mjs');
    expect(code).toBe(0);
    expect(of('isolation')).toMatchObject({ state: 'missing', blocks: false });
    expect(of('isolation')?.found).toContain('WITHOUT isolation');
    // That PATH has no coreutils either: work lands all the same.
    expect(of('merging')).toMatchObject({ state: 'partly', found: expect.stringContaining('no stdbuf') });
    expect(of('merging')?.remedy).toContain('apt-get install -y coreutils');
  });

  test('exits with 1 when the named server does not answer, or too little of the disk is free', async () => {
    writeFileSync(join(dir, 'full.mjs'), 'export default { sandbox: { limits: { minFreeDiskMb: 1e9 } } };\n');
    const env = { ...model(), TEMPORAL_ADDRESS: '127.0.0.1:1' };
    const { code, of } = await report(env, '--config', 'full.mjs');
    expect(code).toBe(1);
    expect(of('Temporal')).toMatchObject({ state: 'missing', blocks: true });
    expect(of('disk')).toMatchObject({ state: 'missing', blocks: true });
  });
});
