import { execFile } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { which } from '../../../infra/lib/run.mjs';

const ROOT = join(import.meta.dirname, '../../..');
const MAIN = join(ROOT, 'infra/setup/main.mjs');

/** A folder that is the whole PATH of the set-up. */
let bin: string;
beforeEach(() => void (bin = mkdtempSync(join(tmpdir(), 'setup-'))));
afterEach(() => rmSync(bin, { recursive: true, force: true }));

const link = (...names: string[]): void =>
  names.forEach((name) => symlinkSync(which(name) ?? `/no-${name}`, join(bin, name)));

function script(name: string, text: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
  chmodSync(join(bin, name), 0o755);
}

function setUp(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, PATH: `${bin}:${dirname('/bin/sh')}-not` };
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test('without git it names the step and the line that installs it', async () => {
  const { code, stderr } = await setUp('setup');
  expect(code).toBe(1);
  expect(stderr).toMatch(/set-up failed at git: .*\n.*To mend it: .*install.* git/);
});

test('a git that cannot merge without a checkout is refused with the version that can', async () => {
  script('git', 'echo git version 2.30.2');
  const { code, stderr } = await setUp('setup');
  expect(code).toBe(1);
  expect(stderr).toContain('git version 2.30.2 is too old');
  expect(stderr).toContain('2.38');
});

test('without bubblewrap, and without apt to get it, it gives the exact line', async () => {
  link('git');
  const { code, stderr } = await setUp('setup');
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /bubblewrap \(sandboxes\): there is no `bwrap` on the PATH\n {2}To mend it: .*install -y bubblewrap/,
  );
});

test('a bubblewrap that makes no sandbox is not taken for one that does', async () => {
  link('git');
  script(
    'bwrap',
    'test "$1" = --version && echo bubblewrap 0.8.0 && exit 0; echo "No permissions to create namespace" >&2; exit 1',
  );
  const { code, stderr } = await setUp('setup');
  expect(code).toBe(1);
  expect(stderr).toContain('makes no sandbox');
  expect(stderr).toContain('No permissions to create namespace');
});

test('when all is there it takes less than two seconds and says nothing on standard output', async () => {
  link('git', 'bwrap');
  const started = Date.now();
  const { code, stdout, stderr } = await setUp('setup');
  expect(stderr).toContain('set-up: done');
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(Date.now() - started).toBeLessThan(2_000);
});

test('an unknown target is refused with the ones there are', async () => {
  const { code, stderr } = await setUp('demmo');
  expect(code).toBe(1);
  expect(stderr).toMatch(/"demmo".*\n.*demo/);
});

/** What `npm run <name>` is, of those that people start: the command line in package.json, without `node`. */
const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
const STARTED = Object.entries(scripts).flatMap(([name, command]) => {
  const [, file, target] = /^node (infra\/setup\/main\.mjs|bin\/agentswarm\.mjs)(?: (\S+))?$/.exec(command) ?? [];
  return file === undefined ? [] : [{ name, argv: [file, ...(target === undefined ? [] : [target])] }];
});

/** A checkout with nothing installed: what the help is made of, and no node_modules. */
function bareCheckout(): string {
  const checkout = join(bin, 'checkout');
  for (const path of ['package.json', 'bin', 'infra', 'src/cli/main.ts', 'examples', 'bench'])
    cpSync(join(ROOT, path), join(checkout, path), { recursive: true });
  return checkout;
}

/** Under a PATH on which there is nothing to set up with. */
function startIn(cwd: string, argv: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const empty = join(bin, 'empty');
  mkdirSync(empty, { recursive: true });
  const env = { ...process.env, PATH: empty, HOME: empty };
  return new Promise((resolve) => {
    execFile(process.execPath, [...argv], { cwd, env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test('what people start has a help of its own', () => {
  expect(STARTED.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      'setup',
      'demo',
      'test',
      'test:slow',
      'test:long',
      'check',
      'bench',
      'attack',
      'agentswarm',
    ]),
  );
});

test.each(STARTED)('npm run $name -- --help says how it is used, with nothing installed', async ({ name, argv }) => {
  const checkout = bareCheckout();
  for (const option of ['--help', '-h']) {
    const { code, stdout, stderr } = await startIn(checkout, [...argv, 'something', option]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`Usage: npm ${name === 'test' ? 'test' : `run ${name}`}`);
  }
  if (argv[0]?.startsWith('infra')) {
    const { code, stderr } = await startIn(checkout, [...argv, '--', '--help']);
    expect({ code, stderr }, 'what stands behind -- is not for the set-up').toMatchObject({ code: 1 });
    expect(stderr).toContain('set-up failed at git');
  }
});

test('the help of agentswarm without its packages says how to see the rest, of which it names what there is', async () => {
  const checkout = bareCheckout();
  const { stdout } = await startIn(checkout, ['bin/agentswarm.mjs', '--help']);
  expect(stdout).toContain('npm run setup');
  const told = [...stdout.matchAll(/^ {2}(\w+)\b/gm)].map(([, command]) => command ?? '');
  expect(told.length).toBeGreaterThan(3);
  const whole = await startIn(ROOT, ['bin/agentswarm.mjs', '--help']);
  for (const command of told) expect(whole.stdout).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
  const { stdout: bySetUp } = await startIn(ROOT, ['infra/setup/main.mjs', 'agentswarm', '--help']);
  expect(bySetUp).toBe(whole.stdout);
  expect(await startIn(checkout, ['bin/agentswarm.mjs', 'status'])).toMatchObject({ code: 2 });
});

test('the help of a command names the benchmarks and examples that there are', async () => {
  const bench = await startIn(ROOT, ['infra/setup/main.mjs', 'bench', '--help']);
  expect(bench.stdout).toMatch(/\bmerge, overhead, planning\b/);
  const demo = await startIn(ROOT, ['infra/setup/main.mjs', 'demo', '--help']);
  expect(demo.stdout).toContain('python-library | ts-library');
});
