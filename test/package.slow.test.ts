import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startScriptedModel } from '../examples/scripted-model/server.ts';
import { startLlmServer } from './support/llm-server.ts';
import { bareRepository } from './support/repos.ts';
import { planned, scenarioScript, writes } from './support/scenarios.ts';
import { temporal } from './support/temporal.ts';

const ROOT = join(import.meta.dirname, '..');
const VERSION = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Without what npm and vitest have put into our environment. */
const ENV = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|NODE_OPTIONS|NODE_ENV|TEMPORAL_)/.test(name)),
);

const run = (cwd: string, file: string, ...args: string[]): Promise<Ended> => runWith({}, cwd, file, ...args);

function runWith(env: Record<string, string>, cwd: string, file: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(file, args, { cwd, env: { ...ENV, ...env }, maxBuffer: 1e8 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

let folder: string;
let packed: Set<string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'package-'));
  const pack = await run(ROOT, 'npm', 'pack', '--json', '--pack-destination', folder);
  expect(pack, pack.stderr).toMatchObject({ code: 0 });
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? 'no tarball';
  packed = new Set((await run(folder, 'tar', '-tzf', tarball)).stdout.trim().split('\n'));
  writeFileSync(join(folder, 'package.json'), '{"name":"somewhere","version":"1.0.0"}');
  const install = await run(folder, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', `./${tarball}`);
  expect(install, install.stderr).toMatchObject({ code: 0 });
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const agentswarm = (...args: string[]): Promise<Ended> =>
  run(folder, join(folder, 'node_modules/.bin/agentswarm'), ...args);

test('the installed command says its version and helps', async () => {
  expect(await agentswarm('--version')).toMatchObject({ code: 0, stdout: `${VERSION}\n` });
  const help = await agentswarm('--help');
  expect(help).toMatchObject({ code: 0, stderr: '' });
  for (const command of ['run', 'attach', 'status', 'dev', 'worker'])
    expect(help.stdout).toMatch(new RegExp(`^\\s+${command}\\b`, 'm'));
});

test('the package has what is read at run time, and nothing of the checkout', () => {
  for (const file of [
    'package/LICENSE',
    'package/README.md',
    'package/dist/infra/temporal/go.mod',
    'package/dist/infra/temporal/go.sum',
    'package/dist/prompts/worker.md',
    'package/dist/src/host/workflow-bundle.js',
    'package/dist/src/worker.js',
  ]) {
    expect([...packed]).toContain(file);
  }
  expect([...packed].filter((file) => /^package\/(src|test|examples|bench|node_modules)\//.test(file))).toEqual([]);
});

/** Starts the installed worker on a queue of its own; resolves when it says that it is ready. */
async function startWorker(taskQueue: string, env: Record<string, string>): Promise<{ stop(): Promise<void> }> {
  const config = `import { defineConfig } from 'agentswarm';\nexport default defineConfig({ taskQueue: '${taskQueue}' });\n`;
  writeFileSync(join(folder, 'temporal.config.mjs'), config);
  const child = spawn(
    join(folder, 'node_modules/.bin/agentswarm'),
    ['worker', '--state-dir', join(folder, 'state'), '--config', 'temporal.config.mjs'],
    { cwd: folder, env: { ...ENV, ...env }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const take = (chunk: Buffer): void => {
      said += chunk.toString();
      if (said.includes('worker is ready')) resolve();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('exit', (code) => reject(new Error(`the worker ended with ${code}:\n${said}`)));
  });
  return { stop };
}

test('the installed worker runs workflows from its bundle and activities from its JavaScript', async () => {
  const server = await temporal();
  const model = await startLlmServer();
  const taskQueue = server.uniqueQueue();
  const worker = await startWorker(taskQueue, {
    TEMPORAL_ADDRESS: server.address,
    OPENAI_API_KEY: 'sk-test-of-the-package',
    OPENAI_BASE_URL: model.openaiUrl,
    OPENAI_MODEL: 'model-a',
  });
  try {
    const client = await server.client();
    const repo = join(folder, 'no-such-repository');
    const run = client.workflow.execute('planner', {
      taskQueue,
      workflowId: taskQueue,
      args: [{ repo, spec: { text: 'Anything.' } }],
    });
    const failure = await run.catch((error: unknown) => error);
    const messages: string[] = [];
    for (let at: unknown = failure; at instanceof Error; at = at.cause) messages.push(at.message);
    expect(messages.join('\n')).toContain(repo);
  } finally {
    await worker.stop();
    await model.close();
  }
}, 120_000);

/** The README's block of commands that has this line, without its comments. */
function readmeCommands(line: string): string[] {
  const blocks = [...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)];
  const block = blocks.find(([, text]) => text?.includes(line))?.[1] ?? '';
  return block
    .trim()
    .split('\n')
    .map((each) => each.replace(/\s+#.*$/, ''));
}

test('what the README says first works in an empty folder: doctor, and a run that lands', async () => {
  const [pack, ...commands] = readmeCommands('npx agentswarm doctor');
  expect(pack).toBe('npm run setup && npm pack');
  expect(commands.map((line) => line.replace(/ ~.*/, ''))).toEqual([
    expect.stringContaining(`agentswarm-${VERSION}.tgz`),
    'npx agentswarm doctor',
    'npx agentswarm run',
  ]);
  const script = scenarioScript({
    first: {
      plan: () => ({ tasks: [planned('hello')], done: true }),
      tasks: { hello: writes({ 'hello.txt': 'hello\n' }) },
    },
  });
  const model = await startScriptedModel({ script, latencyMs: 0 });
  const repository = bareRepository(join(folder, 'app.git'));
  const env = {
    TMPDIR: folder,
    npm_config_prefer_offline: 'true',
    AGENTSWARM_STATE_DIR: join(folder, 'state-of-a-person'),
    OPENAI_API_KEY: 'sk-test-of-the-package',
    OPENAI_BASE_URL: `${model.url}/v1`,
    OPENAI_MODEL: 'scripted-1',
  };
  try {
    const theirs = (line: string): string =>
      line.replace(/ ~\S+ --spec ".*"/, ` ${repository.dir} --spec 'Scenario: first'`);
    const { code, stdout, stderr } = await runWith(env, folder, 'bash', '-ec', commands.map(theirs).join('\n'));
    expect({ code }, stdout + stderr).toEqual({ code: 0 });
    expect(stdout).toContain('A run can start here.');
    expect(stdout).toMatch(/# Run \S+: complete/);
    const [landed] = repository.refs('refs/heads/agentswarm/');
    expect(repository.files(landed)).toMatchObject({ 'hello.txt': '100644 hello\n' });
  } finally {
    await model.stop();
  }
}, 300_000);
