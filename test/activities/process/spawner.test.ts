import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { createSpawner, type Spawner } from '../../../src/activities/process/spawner.ts';

const PATH = process.env.PATH ?? '';
let spawner: Spawner | undefined;
const fresh = (): Spawner => {
  spawner = createSpawner();
  return spawner;
};
afterEach(() => spawner?.close());

const sh = (script: string) => ['/bin/sh', '-c', script];

describe('the process that starts commands', () => {
  test('gives standard input, both outputs and the exit code, byte for byte', async () => {
    const bytes = Buffer.from([0, 255, 10, 128, 13]);
    const result = await fresh().run(sh('cat; echo oh >&2; exit 3'), {
      env: { PATH },
      stdin: bytes,
      timeoutMs: 10_000,
    });
    expect(result).toMatchObject({ stdout: bytes, stderr: 'oh\n', exitCode: 3, reason: 'exit', truncated: false });
  });

  test('a command sees the environment that it was given and nothing of the worker’s', async () => {
    process.env.SPAWNER_CANARY = 'must-not-be-seen';
    try {
      const result = await fresh().run(sh('env; cat /proc/$PPID/environ'), {
        env: { PATH, ONLY: 'this' },
        timeoutMs: 10_000,
      });
      expect(result.stdout.toString()).toContain('ONLY=this');
      expect(result.stdout.toString()).not.toContain('must-not-be-seen');
    } finally {
      delete process.env.SPAWNER_CANARY;
    }
  });

  test('a command finds no file open that the worker was started with', async () => {
    const spawnerFile = new URL('../../../src/activities/process/spawner.ts', import.meta.url).href;
    const program = `
      const { createSpawner } = await import('${spawnerFile}');
      const spawner = createSpawner();
      const { stdout } = await spawner.run(['/bin/ls', '/proc/self/fd'], { env: {}, timeoutMs: 10_000 });
      process.stdout.write(process.argv[1] + stdout.toString().replaceAll('\\n', ' '));
      spawner.close();`;
    // A positive control: a command of bash itself has it.
    const outer = 'exec 77</etc/passwd; exec "$0" -e "$1" --input-type=module "$(ls /proc/self/fd | tr "\\n" " ")| "';
    const ran = spawnSync('/bin/bash', ['-c', outer, process.execPath, program], { encoding: 'utf8' });
    const [before = '', inside = ''] = ran.stdout.split('| ');
    expect(before, ran.stderr).toContain('77');
    expect(inside.trim()).toBe('0 1 2 3');
  });

  test('many at once are told apart', async () => {
    const { run } = fresh();
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        run(sh(`sleep 0.0${i % 5}; echo ${i}`), { env: { PATH }, timeoutMs: 20_000 }),
      ),
    );
    expect(results.map(({ stdout }) => stdout.toString())).toEqual(results.map((_, i) => `${i}\n`));
  });

  test('an abort ends the whole group, and a deadline does', async () => {
    const { run } = fresh();
    const stop = new AbortController();
    const aborted = run(sh('sleep 60 & sleep 60'), { env: { PATH }, timeoutMs: 30_000, signal: stop.signal });
    setTimeout(() => stop.abort(), 200);
    expect(await aborted).toMatchObject({ reason: 'aborted', killedBy: 'SIGKILL' });
    expect(await run(sh('sleep 60'), { env: { PATH }, timeoutMs: 200 })).toMatchObject({ reason: 'timeout' });
  });

  test('a command that cannot be started is told with its code', async () => {
    await expect(fresh().run(['/nonexistent/x'], { env: { PATH }, timeoutMs: 1_000 })).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });

  test('when it is killed, its commands are lost, and the next one works', async () => {
    const { run } = fresh();
    const parent = await run(sh('echo $PPID'), { env: { PATH }, timeoutMs: 10_000 });
    const pid = Number(parent.stdout.toString());
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain('spawner-child');
    const lost = run(sh('sleep 5'), { env: { PATH }, timeoutMs: 30_000 });
    setTimeout(() => process.kill(pid, 'SIGKILL'), 200);
    await expect(lost).rejects.toThrow('the command is lost');
    expect((await run(sh('echo again'), { env: { PATH }, timeoutMs: 10_000 })).stdout.toString()).toBe('again\n');
  });

  test('keeps a shell for each that it is told of, also after its end and after its own', async () => {
    const { run, shells } = fresh();
    const isolated = ['--unshare-pid', '--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev', '--die-with-parent'];
    const spec = (owner: string, name: string) => ({
      owner,
      argv: ['bwrap', ...isolated, '/bin/sh', '-s'],
      cwd: '/',
      env: { PATH, NAME: name },
      own: true,
    });
    const [one, other] = [spec('a', 'one'), spec('b', 'other')];
    const command = { env: {}, combine: false, timeoutMs: 10_000 };
    const said = async (shell: typeof one, script = 'echo "$NAME $PPID $(readlink /proc/self/ns/pid)"') =>
      (await shells.run(shell, ['/bin/sh', '-c', script, 'sh'], command))?.stdout.toString();
    const first = await said(one);
    expect(first).toMatch(/^one /);
    expect(await said(other)).toMatch(/^other /);
    expect(await said(one)).toBe(first);
    await shells.end('a');
    const second = await said(one);
    expect(second).toMatch(/^one /);
    expect(second).not.toBe(first);
    const parent = (await run(sh('echo $PPID'), { env: { PATH }, timeoutMs: 10_000 })).stdout.toString();
    process.kill(Number(parent), 'SIGKILL');
    await expect.poll(() => said(one).catch(() => 'lost'), { timeout: 30_000 }).toMatch(/^one /);
    expect(await said(other)).toMatch(/^other /);
  });
});
