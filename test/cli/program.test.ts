import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLlmServer } from '../support/llm-server.ts';
import { gitIn } from '../support/repos.ts';
import { cleanEnvironment, type Ended, startCommand } from './fixture/command.ts';

/** The product's own command; nothing here gets so far as to start a server. */
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

describe('agentswarm, as a process', { timeout: 60_000 }, () => {
  let dir: string;
  beforeAll(() => {
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'agentswarm-program-')));
    gitIn(dir, ['init', '--quiet', 'repo']);
    writeFileSync(join(dir, 'empty.md'), ' \n');
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> =>
    startCommand(args, { cwd: dir, env: { ...cleanEnvironment(dir), ...env }, main: MAIN }).ended;

  test('says what it can do, and what its exit codes mean', async () => {
    const help = await run(['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const name of [
      'run',
      'attach',
      'status',
      'green',
      'schedule',
      'endpoints',
      'doctor',
      'dev',
      'worker',
      'steer',
      'pause',
      'resume',
      'finish',
      'cancel',
      'abort',
      'add',
      'retry',
      'limits',
      'approve',
      'reject',
    ]) {
      expect(help.stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    }
    expect(help.stdout).toContain('130  detached');
    const { stdout } = await run(['run', '--help']);
    expect(stdout.replace(/\s+/g, ' ')).toContain('without white space: a file or folder of the repository');
  });

  test('says the version of its package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await run(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  test.each([
    ['an unknown command', ['fly'], "unknown command 'fly'"],
    ['no command', [], 'Usage: agentswarm'],
    ['an unknown option', ['run', 'repo', '--spec', 'x', '--fast'], "unknown option '--fast'"],
    ['no spec', ['run', 'repo'], "required option '--spec <spec>'"],
    ['a spec file that is missing', ['run', 'repo', '--spec', '@none.md'], 'none.md failed: ENOENT'],
    ['a spec file that is empty', ['run', 'repo', '--spec', '@empty.md'], 'empty.md is empty'],
    [
      'a repository that does not exist',
      ['run', 'nowhere', '--spec', 'x'],
      'repository "nowhere" is neither a URL nor a path',
    ],
    ['a key in the URL', ['run', 'https://me:hunter2@host/x.git', '--spec', 'x'], 'Give https://host/x.git'],
    ['no limits', ['limits', 'run'], 'There is nothing to change'],
    ['a budget of nothing', ['limits', 'run', '--usd', '0'], '--usd takes a number above 0, not "0"'],
    ['a rejection without a reason', ['reject', 'run'], "required option '--reason <text>'"],
    ['one approval and all', ['approve', 'run', 'plan-1', '--all'], 'Give a name or --all, not both'],
    ['no number', ['run', 'repo', '--spec', 'x', '--max-workers', '0'], '--max-workers takes a whole number'],
    ['another way to deliver', ['run', 'repo', '--spec', 'x', '--deliver', 'post'], 'settings.deliver: '],
    ['too many workers', ['run', 'repo', '--spec', 'x', '--max-workers', '5000'], 'settings.maxWorkers: '],
    ['an id that is no id', ['run', 'repo', '--spec', 'x', '--id', '../x'], '"../x" cannot be the id of a run'],
    ['a configuration that is missing', ['dev', '--config', 'no.ts'], 'no.ts does not exist'],
  ])('refuses %s with 2, on standard error only, without a stack', async (_what, args, message) => {
    const ended = await run(args);
    expect(ended.stderr).toContain(message);
    expect(ended.stderr).not.toMatch(/^ {4}at /m);
    expect(ended.stderr).not.toContain('hunter2');
    expect(ended).toMatchObject({ code: 2, stdout: '' });
  });

  test('names the variables when there is no LLM endpoint, and starts nothing', async () => {
    const ended = await run(['run', 'repo', '--spec', 'x', '--state-dir', 'state']);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    for (const name of ['OPENAI_API_KEY', 'ANTHROPIC_API_KEY', 'LLM_ENDPOINTS']) expect(ended.stderr).toContain(name);
    expect(ended.stderr).not.toContain('starting a Temporal server');
  });

  test.each([
    ['a wrong key', { OPENAI_API_KEY: 'wrong', OPENAI_MODEL: 'model-a' }, /refuses the key from OPENAI_API_KEY/],
    ['an unknown model', { OPENAI_API_KEY: 'right', OPENAI_MODEL: 'x-1' }, /has no model "x-1" .*It offers: model-a/],
  ])('refuses %s at once, and starts nothing', async (_what, env, message) => {
    const server = await startLlmServer({ apiKey: 'right' });
    try {
      const args = ['run', 'repo', '--spec', 'x', '--state-dir', 'state'];
      const ended = await run(args, { ...env, OPENAI_BASE_URL: server.openaiUrl });
      expect(ended).toMatchObject({ code: 2, stdout: '' });
      expect(ended.stderr).toMatch(message);
      expect(ended.stderr).not.toContain('starting a Temporal server');
    } finally {
      await server.close();
    }
  });

  test('names the remedy when agents cannot be isolated, and starts nothing', async () => {
    const ended = await run(['dev', '--state-dir', 'state'], { PATH: dir });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain('Agents cannot be isolated here: bubblewrap (bwrap) is not on the PATH.');
    expect(ended.stderr).toContain('apt-get install -y bubblewrap');
    expect(ended.stderr).not.toContain('starting a Temporal server');
  });

  test('says that nothing was ever started here, or that nothing runs', async () => {
    expect((await run(['status'])).stderr).toContain('No run has been started here');
    const steered = await run(['steer', 'x', 'hello']);
    expect(steered.code).toBe(1);
    expect(steered.stderr).toContain('No Temporal server runs');
  });

  test('shows the stack when AGENTSWARM_DEBUG is 1', async () => {
    const ended = await run(['run', 'repo', '--spec', '@none.md'], { AGENTSWARM_DEBUG: '1' });
    expect(ended.stderr).toMatch(/^ {4}at /m);
    expect(ended.stderr).toContain('caused by: Error: ENOENT');
  });
});
