import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeControlGroup } from '../../../bench/compare/control-group.ts';
import { createRunner } from '../../../bench/compare/runner.ts';
import { processesOf } from '../../support/processes.ts';

let folder: string;
let stop: AbortController;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'runner-'));
  stop = new AbortController();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Works for half a second of CPU, says so with its pid, and then stays. */
const WORK = `
  while (process.cpuUsage().user + process.cpuUsage().system < 5e5);
  require('node:fs').writeFileSync(process.argv[1] + '.new', String(process.pid));
  require('node:fs').renameSync(process.argv[1] + '.new', process.argv[1]);
  setInterval(() => undefined, 1000);
`;
/** Starts the rest of its arguments in a session of its own, and ends as soon as the file is there. */
const LAUNCH = `
  const [file, ...argv] = process.argv.slice(1);
  const child = require('node:child_process').spawn(argv[0], argv.slice(1), { detached: true, stdio: 'ignore' });
  const look = setInterval(() => {
    if (!require('node:fs').existsSync(file)) return;
    console.log('it has worked');
    clearInterval(look);
    child.unref();
    if (process.env.KILL === '1') process.kill(child.pid, 'SIGKILL');
  }, 20);
`;
const made = makeControlGroup();
if (!('why' in made)) await made.remove();

const command = (file: string, before: readonly string[], env: NodeJS.ProcessEnv = {}) => ({
  argv: [process.execPath, '-e', LAUNCH, file, ...before, process.execPath, '-e', WORK, file],
  cwd: folder,
  env: { ...process.env, TMPDIR: folder, ...env },
});

const runner = (make: typeof makeControlGroup | null) =>
  createRunner({ mark: `TMPDIR=${folder}`, signal: stop.signal }, make);

const WAYS = [
  { way: 'by a control group', make: makeControlGroup, possible: !('why' in made) },
  { way: 'by the whole machine', make: null, possible: true },
] as const;

test.each(WAYS)('$way: CPU of a server that nobody waits for counts, and it does not stay', async (each) => {
  if (!each.possible) return;
  const file = join(folder, 'pid');
  const open = runner(each.make);
  try {
    const ended = await open.run(command(file, []));
    expect(ended).toMatchObject({ code: 0, stdout: 'it has worked\n', leftRunning: 1 });
    // Ticks of 10 ms on each processor, where it is not the group that counts.
    expect(ended.cpuSeconds).toBeGreaterThan(0.45);
    expect(ended.wallSeconds).toBeGreaterThan(0.45);
    expect(processesOf(folder)).toEqual([]);
  } finally {
    await open.close();
  }
});

test.each(WAYS)('$way: CPU of what ends with a process namespace counts', async (each) => {
  if (!each.possible) return;
  const file = join(folder, 'pid');
  const bwrap = ['bwrap', '--unshare-all', '--die-with-parent', '--bind', '/', '/', '--proc', '/proc', '--dev', '/dev'];
  const open = runner(each.make);
  try {
    const ended = await open.run(command(file, bwrap, { KILL: '1' }));
    expect(ended.code).toBe(0);
    expect(ended.cpuSeconds).toBeGreaterThan(0.45);
  } finally {
    await open.close();
  }
});

test.each(WAYS)('$way: an end in the middle kills the command and what it has started', async (each) => {
  if (!each.possible) return;
  const file = join(folder, 'pid');
  const open = runner(each.make);
  try {
    const waits = { ...command(file, []), argv: [process.execPath, '-e', `${WORK}`, file] };
    const running = open.run({ ...waits, argv: ['sh', '-c', '"$@" & wait', 'sh', ...waits.argv] });
    running.catch(() => undefined);
    while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 20));
    stop.abort(new Error('ended by a person'));
    await expect(running).rejects.toThrow('ended by a person');
    expect(processesOf(folder)).toEqual([]);
    await expect(open.run(waits)).rejects.toThrow('ended by a person');
  } finally {
    await open.close();
  }
});

test('a command that cannot be started is an error that names it', async () => {
  const open = runner(null);
  try {
    const missing = { ...command('x', []), argv: [join(folder, 'no-such-program')] };
    await expect(open.run(missing)).rejects.toThrow(/no-such-program/);
  } finally {
    await open.close();
  }
});

test('both outputs of a command that fails are in its end', async () => {
  const open = runner(null);
  try {
    const fails = { ...command('x', []), argv: ['sh', '-c', 'echo one; echo two >&2; exit 3'] };
    const { code, end, stdout } = await open.run(fails);
    expect({ code, stdout }).toEqual({ code: 3, stdout: 'one\n' });
    expect(end).toContain('one');
    expect(end).toContain('two');
  } finally {
    await open.close();
  }
});
