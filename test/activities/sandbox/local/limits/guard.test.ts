import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { findGroups } from '../../../../../src/activities/sandbox/local/limits/groups.ts';
import type { SandboxLimits } from '../../../../../src/shared/config/worker-config.ts';
import { call, type TestHost, testHost } from '../../support.ts';
import { runAsUser } from './as-user.ts';

const LIMITS: Partial<SandboxLimits> = {
  memoryMb: 200,
  processes: 60,
  openFiles: 64,
  fileSizeMb: 8,
  diskMb: 60,
  files: 3_000,
  cpuSeconds: 1,
  outputMb: 2,
  minFreeDiskMb: 0,
};
const TAKE_MEMORY = `python3 -c "x = b'x' * (400 << 20); print(len(x))"`;
/** Each of its 6 processes is within the limit, all together are not. */
const TAKE_MEMORY_TOGETHER = `for i in 1 2 3 4 5 6; do python3 -c "x = b'x' * (60 << 20); import time; time.sleep(2); print('ke' + 'pt')" & done; wait`;
/** At most 1,023 processes: what is tested may be broken. */
const BOMB = 'bomb() { [ $1 -gt 9 ] && sleep 2 || { bomb $(($1 + 1)) & bomb $(($1 + 1)) & wait; }; }; bomb 1; echo end';
const WRITE_MUCH = 'for i in $(seq 1 40); do head -c 4000000 /dev/zero > big-$i; sleep 0.05; done; echo all';
const MANY_FILES =
  'mkdir many; for d in $(seq 1 30); do mkdir many/$d; (cd many/$d && seq 1 1000 | xargs touch); sleep 0.05; done; echo all';

const kinds = findGroups({ memoryMb: 100, processes: 100 }).kind === 'rlimit' ? [false] : [true, false];
describe.each(kinds.map((groups) => ({ groups, name: groups ? 'with control groups' : 'without control groups' })))(
  'limits $name',
  ({ groups }) => {
    let host: TestHost;
    let id: string;
    beforeAll(async () => {
      host = await testHost({ limits: LIMITS, withoutGroups: !groups });
      id = await host.open();
    });
    afterAll(() => host.close());
    const bash = (command: string) => host.bash(id, command);
    const usable = async () => expect((await bash('echo alive')).output).toBe('alive\n');

    it('name memory when one process takes too much of it', async () => {
      const { output, status } = await bash(TAKE_MEMORY);
      expect(output).not.toContain(String(400 << 20));
      expect(output).toMatch(/at most 200 MB of memory|more than 200 MB of memory/);
      expect(output).toContain('(sandbox.limits.memoryMb)');
      expect(status).toBe('error');
    });

    it('name memory when all processes together take too much of it', async () => {
      const { output } = await bash(TAKE_MEMORY_TOGETHER);
      expect(output.match(/kept/g)?.length ?? 0).toBeLessThan(4);
      expect(output).toContain('more than 200 MB of memory (sandbox.limits.memoryMb), all processes together');
    });

    it('contain a fork bomb and name its limit, and the sandbox is usable afterwards', async () => {
      const { results } = await host.act(id, 78, [call('bash', { command: BOMB, timeoutSeconds: 3 })]);
      const output = results[0]?.output;
      expect(output).toMatch(/60 processes and threads \(sandbox\.limits\.processes\)/);
      await usable();
    });

    it('name open files, file size, CPU time and output', async () => {
      const files = await bash(`python3 -c "[open('/dev/null') for _ in range(100)]; print(list(range(1)))"`);
      expect(files.output).toContain('at most 64 files open (sandbox.limits.openFiles)');
      const large = await bash('head -c 9000000 /dev/zero > large');
      expect(large.output).toContain('at most 8 MB (sandbox.limits.fileSizeMb)');
      expect((await bash('stat -c %s large; rm large')).output).toBe(`${8 * 1_048_576}\n`);
      const cpu = await bash('python3 -c "while True: pass"');
      expect(cpu.output).toContain('more than 1 s of CPU (sandbox.limits.cpuSeconds)');
      const endless = await bash('yes');
      expect(endless).toMatchObject({ status: 'error' });
      expect(endless.output).toContain('more than 2 MB of output (sandbox.limits.outputMb)');
    });

    it('name a time that is over', async () => {
      const { results } = await host.act(id, 77, [call('bash', { command: 'sleep 30', timeoutSeconds: 0.3 })]);
      expect(results[0]?.output).toBe('[The command was stopped after 0.3 s, with all that it had started.]');
    });

    it('stop a command that fills the disk, tell the ones after it, and let it be emptied', async () => {
      const much = await bash(WRITE_MUCH);
      expect(much.output).not.toContain('all\n');
      expect(much.output).toMatch(
        /stopped: this sandbox holds \d+ MB on disk, of at most 60 MB \(sandbox\.limits\.diskMb\)/,
      );
      expect((await bash('echo hello')).output).toMatch(/^hello\n\[this sandbox holds \d+ MB/);
      expect((await bash('rm big-*; sync .')).output).toBe('[No output.]');
      await usable();
    });

    it('stop a command that makes too many files', async () => {
      const many = await bash(MANY_FILES);
      expect(many.output).not.toContain('all\n');
      expect(many.output).toMatch(
        /stopped: this sandbox holds \d+ files and folders, of at most 3000 \(sandbox\.limits\.files\)/,
      );
      await bash('rm -rf many');
      await usable();
    });

    it('count what lies in folders that cannot be read', async () => {
      await bash(
        'mkdir -p /tmp/dark && cd /tmp/dark && for i in $(seq 1 12); do head -c 7000000 /dev/urandom > $i; done; chmod 000 /tmp/dark',
      );
      const { output } = await bash('echo next');
      expect(output).toMatch(/this sandbox holds \d\d+ MB on disk/);
      await bash('chmod 700 /tmp/dark; rm -rf /tmp/dark');
    });
  },
);

test('outputs that are kept whole go when they take an eighth of the disk, the oldest first', async () => {
  const host = await testHost({ limits: { ...LIMITS, diskMb: 80, outputMb: 100, outputBytes: 1_000 } });
  try {
    const id = await host.open();
    for (const turn of [1, 2, 3])
      await host.act(id, turn, [call('bash', { command: `yes ${turn} | head -c 4000000` })]);
    const output = join(host.stateDir, 'sandboxes', id, 'output');
    expect(readdirSync(output).sort()).toEqual(['2-1.txt', '3-1.txt']);
    expect(readFileSync(join(output, '3-1.txt')).length).toBe(4_000_000);
  } finally {
    await host.close();
  }
});

test('what is in memory under /dev is limited, and nothing but shm is writable there', async () => {
  const host = await testHost({ limits: { ...LIMITS, fileSizeMb: 1_000, memoryMb: 100 }, withoutGroups: true });
  try {
    const id = await host.open();
    const { output } = await host.bash(id, 'head -c 150000000 /dev/zero > /dev/shm/x; touch /dev/y; ls /dev/y');
    expect(output).toMatch(/No space left on device/);
    expect(output).toMatch(/Read-only file system/);
  } finally {
    await host.close();
  }
});

test.skipIf(process.getuid?.() !== 0)('an ordinary user has the same sandboxes', () => {
  const ended = runAsUser(LIMITS, {
    TAKE_MEMORY,
    BOMB,
    DARK: 'mkdir -p /tmp/d && cd /tmp/d && for i in $(seq 1 12); do head -c 7000000 /dev/urandom > $i; done; chmod 000 /tmp/d',
    AFTER: 'echo next',
  });
  expect(ended.uid).toBe(65_534);
  expect(ended.isolated).toBe(true);
  expect(ended.kind).toBe('rlimit');
  expect(ended.said.TAKE_MEMORY).toContain('(sandbox.limits.memoryMb)');
  expect(ended.said.BOMB).toMatch(/Resource temporarily unavailable|sandbox\.limits\.processes/);
  expect(ended.said.AFTER).toMatch(/this sandbox holds \d+ MB on disk/);
});
