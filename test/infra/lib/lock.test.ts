import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withLock } from '../../../infra/lib/lock.mjs';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'lock-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Adds "in" and "out" lines to a file while holding the lock, 5 times over. */
const CONTENDER = `
import { appendFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
const { withLock } = await import(process.argv[1]);
const [, , file, log] = process.argv;
for (let i = 0; i < 5; i++) {
  await withLock(file, async () => {
    await appendFile(log, 'in ' + process.pid + '\\n');
    await sleep(10);
    await appendFile(log, 'out ' + process.pid + '\\n');
  }, { pollMs: 5 });
}`;

test('processes hold it one after the other, never two at once', async () => {
  const log = join(folder, 'log');
  const module = join(import.meta.dirname, '../../../infra/lib/lock.mjs');
  const children = [1, 2, 3].map(() =>
    spawn(process.execPath, ['--input-type=module', '-e', CONTENDER, module, join(folder, 'lock'), log]),
  );
  for (const code of await Promise.all(children.map((child) => once(child, 'close')))) expect(code[0]).toBe(0);
  const lines = (await readFile(log, 'utf8')).trim().split('\n');
  expect(lines).toHaveLength(30);
  for (let i = 0; i < lines.length; i += 2) expect(lines[i + 1]).toBe(lines[i]?.replace('in', 'out'));
});

test('a holder that was killed is replaced at once', async () => {
  const dead = spawn('true');
  await once(dead, 'close');
  const file = join(folder, 'lock');
  const [here = ''] = (await withLock(file, () => readFile(file, 'utf8'))).split(' ');
  expect(here).toContain(hostname());
  await writeFile(file, `${here} ${dead.pid} 0`);
  expect(await withLock(file, () => Promise.resolve('mine'))).toBe('mine');
});

test('a number that is no process here may be one in a container whose host has the same name', async () => {
  const dead = spawn('true');
  await once(dead, 'close');
  const file = join(folder, 'lock');
  await writeFile(file, `${hostname()}/pid:[1] ${dead.pid} 0`);
  const waits: string[] = [];
  const held = withLock(file, () => Promise.resolve('mine'), {
    pollMs: 10,
    onWait(holder) {
      waits.push(holder);
      void rm(file);
    },
  });
  expect(await held).toBe('mine');
  expect(waits).toHaveLength(1);
});

test('a holder that has lost its lock leaves the lock of the next one alone', async () => {
  const file = join(folder, 'lock');
  await withLock(file, async () => {
    await writeFile(file, 'elsewhere.example 1 0');
  });
  expect(await readFile(file, 'utf8')).toBe('elsewhere.example 1 0');
});

test('a holder on another host is replaced once it has stopped touching its lock', async () => {
  const file = join(folder, 'lock');
  await writeFile(file, 'elsewhere.example 1 0');
  const waits: string[] = [];
  const held = withLock(file, () => Promise.resolve('mine'), {
    pollMs: 10,
    staleMs: 1_000,
    onWait(holder) {
      waits.push(holder);
      void utimes(file, new Date(0), new Date(0));
    },
  });
  expect(await held).toBe('mine');
  expect(waits).toEqual(['elsewhere.example 1 0']);
});

test('it is given back when the work throws', async () => {
  const file = join(folder, 'lock');
  await expect(withLock(file, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await withLock(file, () => Promise.resolve('again'))).toBe('again');
});
