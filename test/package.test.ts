import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

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

function run(cwd: string, file: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(file, args, { cwd, env: ENV, maxBuffer: 1e8 }, (error, stdout, stderr) => {
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
    'package/dist/src/workflow-bundle.js',
    'package/dist/src/worker.js',
  ]) {
    expect([...packed]).toContain(file);
  }
  expect([...packed].filter((file) => /^package\/(src|test|examples|bench|node_modules)\//.test(file))).toEqual([]);
});

test('the installed worker takes the workflows from the bundle, not from a source that is not there', async () => {
  const code =
    `const { workflowSource } = await import('./node_modules/agentswarm/dist/src/workflow-source.js');` +
    `console.log(JSON.stringify(workflowSource()));`;
  const { stdout, stderr } = await run(folder, process.execPath, '--input-type=module', '-e', code);
  const { workflowBundle } = JSON.parse(stdout || `"${stderr}"`) as { workflowBundle: { codePath: string } };
  expect(workflowBundle.codePath).toBe(join(folder, 'node_modules/agentswarm/dist/src/workflow-bundle.js'));
  const bundle = readFileSync(workflowBundle.codePath, 'utf8');
  for (const type of ['planner', 'task', 'agent', 'mergeQueue']) expect(bundle).toMatch(new RegExp(`\\b${type}\\b`));
});
