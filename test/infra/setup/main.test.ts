import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { which } from '../../../infra/lib/run.mjs';

const MAIN = join(import.meta.dirname, '../../../infra/setup/main.mjs');

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
