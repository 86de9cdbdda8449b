import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { demoEnvironment } from '../../examples/demo/environment.ts';
import { freshClone, landedCommits, makeOrigin } from '../../examples/demo/origin.ts';
import { loadExample } from '../../examples/scripted-model/example.ts';
import { resolveEndpoints } from '../../src/activities/llm/endpoints.ts';

const DEMO = new URL('../../examples/demo.ts', import.meta.url).pathname;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'agentswarm-demo-test-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const demo = (...args: string[]): { code: number | null; stdout: string; stderr: string } => {
  const run = spawnSync(process.execPath, [DEMO, ...args], { encoding: 'utf8', timeout: 25_000 });
  return { code: run.status, stdout: run.stdout, stderr: run.stderr };
};
const git = (cwd: string, ...args: string[]): string => execFileSync('git', args, { cwd, encoding: 'utf8' }).trim();

test.each([
  [['--workers', '0'], /--workers is "0"; it must be a whole number of at least 1/],
  [['--latency-ms', 'slow'], /--latency-ms is "slow"/],
  [['--colour'], /--colour/],
  [['--look'], /--look wants --dir/],
])('%j is refused with the reason and the usage, before anything is made', (args, reason) => {
  const run = demo(...args);
  expect(run).toMatchObject({ code: 2, stdout: '' });
  expect(run.stderr).toMatch(reason);
  expect(run.stderr).toContain('Usage: npm run demo');
});

test('an example that does not exist is refused with those that do', () => {
  const run = demo('--dir', dir, '--example', 'cobol-library');
  expect(run.code).toBe(1);
  expect(run.stderr).toContain('there is no example "cobol-library"; there is python-library, ts-library');
});

test('a folder that holds something else is left alone', () => {
  writeFileSync(join(dir, 'thesis.txt'), 'years of work');
  const run = demo('--dir', dir);
  expect(run.code).toBe(2);
  expect(run.stderr).toContain('holds no demo');
  expect(readdirSync(dir)).toEqual(['thesis.txt']);
});

test('a folder with a demo of another example is not mixed with this one', () => {
  writeFileSync(join(dir, 'example.txt'), 'python-library\n');
  const run = demo('--dir', dir, '--example', 'ts-library');
  expect(run.code).toBe(2);
  expect(run.stderr).toContain('--example python-library');
});

test('the origin is bare, has the starting files and the spec as one commit on main, and is made once', async () => {
  const example = await loadExample('ts-library');
  const origin = makeOrigin(example, dir);
  expect(origin).toBe(join(dir, 'origin.git'));
  expect(git(origin, 'rev-parse', '--is-bare-repository')).toBe('true');
  expect(git(origin, 'symbolic-ref', 'HEAD')).toBe('refs/heads/main');
  expect(git(origin, 'rev-list', '--count', 'main')).toBe('1');
  const files = git(origin, 'ls-tree', '-r', '--name-only', 'main').split('\n');
  expect(files).toEqual(
    expect.arrayContaining(['.gitignore', 'SPEC.md', 'agentswarm.json', 'package-lock.json', 'src/errors.ts']),
  );
  expect(readdirSync(dir)).toEqual(['origin.git']);
  const tip = git(origin, 'rev-parse', 'main');
  expect(makeOrigin(example, dir)).toBe(origin);
  expect(git(origin, 'rev-parse', 'main')).toBe(tip);

  const clone = await freshClone(origin, dir);
  writeFileSync(join(clone, 'left-over'), '');
  expect(existsSync(join(await freshClone(origin, dir), 'left-over'))).toBe(false);
  expect(await landedCommits(origin)).toEqual([]);
});

test('the command sees the scripted model only: no key, server or state of the person', () => {
  const theirs = {
    PATH: '/bin',
    OPENAI_API_KEY: 'canary',
    ANTHROPIC_AUTH_TOKEN: 'canary',
    LLM_ENDPOINTS: 'canary',
    TEMPORAL_ADDRESS: 'canary:7233',
    AGENTSWARM_STATE_DIR: '/canary',
    AGENTSWARM_GIT_TOKEN: 'canary',
  };
  const env = demoEnvironment(theirs, { dir, url: 'http://127.0.0.1:1', apiKey: 'k' });
  expect(JSON.stringify(env)).not.toContain('canary');
  expect(env['PATH']).toBe('/bin');
  expect(readFileSync(env['TEMPORAL_CONFIG_FILE'] ?? '', 'utf8')).not.toContain('address');
  const endpoints = resolveEndpoints({ env, configEndpoints: [] });
  expect(endpoints.map(({ name, baseUrl }) => [name, baseUrl])).toEqual([
    ['scripted-openai', 'http://127.0.0.1:1/v1'],
    ['scripted-anthropic', 'http://127.0.0.1:1'],
  ]);
});
