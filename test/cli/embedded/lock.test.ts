import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { trySupervisorLock } from '../../../src/cli/embedded/lock.ts';

const dir = mkdtempSync(join(tmpdir(), 'agentswarm-lock-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('one holder at a time, also within a process; released, it is free', () => {
  const path = join(dir, 'new', 'a.lock');
  const lock = trySupervisorLock(path);
  expect(lock).not.toBe(null);
  expect(trySupervisorLock(path)).toBe(null);
  lock?.release();
  lock?.release();
  const again = trySupervisorLock(path);
  expect(again).not.toBe(null);
  again?.release();
});

test('a holder that is killed frees it at once', async () => {
  const path = join(dir, 'b.lock');
  const module = JSON.stringify(new URL('../../../src/cli/embedded/lock.ts', import.meta.url).href);
  const script = `import(${module}).then((m) => { globalThis.held = m.trySupervisorLock(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1e6); })`;
  const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  expect(trySupervisorLock(path)).toBe(null);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const lock = trySupervisorLock(path);
  expect(lock).not.toBe(null);
  lock?.release();
});

test('a folder that cannot be made or written is said by name', () => {
  const file = join(dir, 'file');
  writeFileSync(file, '');
  expect(() => trySupervisorLock(join(file, 'x.lock'))).toThrow(file);
});
