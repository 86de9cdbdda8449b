/** What a sandbox on Modal may hold and say: looked at by the runner, in the sandbox, as root. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SandboxProvider, SandboxResult } from '../../../../src/activities/sandbox/provider.ts';
import { whyNoContainers } from '../../../support/modal-double/container.ts';
import { modalHost, type ModalHost } from './support.ts';

describe.skipIf(whyNoContainers() !== undefined)('a sandbox on Modal that', () => {
  let host: ModalHost;
  let provider: SandboxProvider;
  beforeAll(async () => {
    host = await modalHost({ limits: { diskMb: 100, files: 3_000, outputMb: 1, fileSizeMb: 90, cpuSeconds: 1 } });
    provider = await host.provider();
  });
  afterAll(() => host.close());

  async function open(): Promise<string> {
    const id = `sb-${randomUUID()}`;
    await provider.create({ id, objects: '/nonexistent' });
    return id;
  }
  const sh = (id: string, script: string): Promise<SandboxResult> =>
    provider.exec(id, ['/bin/bash', '-c', script], { timeoutMs: 60_000, combine: true });
  /** Writes until it is stopped, or has written far more than it may. */
  const fill = (folder: string) =>
    `for i in $(seq 40); do head -c 10000000 /dev/urandom > ${folder}/f$i || exit; sleep 0.1; done; echo all`;

  test('holds too much is stopped, told why, and can delete', async () => {
    const id = await open();
    const result = await sh(id, fill('/workspace'));
    expect(result.reason).toBe('aborted');
    expect(result.limits).toEqual([
      expect.stringMatching(/^stopped: .* of at most 100 MB \(sandbox\.limits\.diskMb\)/),
    ]);
    expect((await sh(id, fill('/tmp'))).limits?.[0]).toMatch(/^stopped: /);
    const rest = await sh(id, 'rm -r /workspace/f* /tmp/f*; echo free');
    expect(rest).toMatchObject({ reason: 'exit', exitCode: 0 });
    expect(rest.stdout.toString()).toBe('free\n');
    expect((await sh(id, 'true')).limits).toBeUndefined();
    expect((await sh(id, 'head -c 20000000 /dev/zero > /home/agent/x; sleep 1')).reason).toBe('exit');
  });

  test('holds too much when its command has ended before anyone looked is told so', async () => {
    const id = await open();
    const result = await sh(id, 'for i in 1 2; do head -c 70000000 /dev/zero > /var/tmp/x$i; done');
    expect(result.limits).toEqual([expect.stringMatching(/^(?:stopped: )?this sandbox holds 1\d\d MB/)]);
    // It stays so until something is deleted, and what is deeper than a path can be counts too.
    expect((await sh(id, 'true')).limits).toHaveLength(1);
    const deep = 'cd /tmp; for i in $(seq 30); do mkdir -p $(printf "d%.0s" {1..200}) && cd d*; done; mv /var/tmp/x1 .';
    expect((await sh(id, deep)).exitCode).toBe(0);
    expect((await sh(id, 'true')).limits).toHaveLength(1);
    await sh(id, 'rm -rf /tmp/d* /var/tmp/x2');
    expect((await sh(id, 'true')).limits).toBeUndefined();
  });

  test('has too many files is stopped', async () => {
    const id = await open();
    // In processes of their own: each has little CPU.
    const result = await sh(id, 'for i in $(seq 100); do (for j in $(seq 100); do : > f$i.$j; done); sleep 0.05; done');
    expect(result.limits).toEqual([expect.stringMatching(/^stopped: .* of at most 3000 \(sandbox\.limits\.files\)/)]);
  });

  test('meets another limit is told which', async () => {
    const id = await open();
    expect((await sh(id, 'yes')).limits).toEqual([expect.stringMatching(/sandbox\.limits\.outputMb/)]);
    expect((await sh(id, 'while :; do :; done')).limits).toEqual([
      expect.stringMatching(/sandbox\.limits\.cpuSeconds/),
    ]);
    expect((await sh(id, 'head -c 95000000 /dev/zero > x')).limits).toEqual([
      expect.stringMatching(/sandbox\.limits\.fileSizeMb/),
    ]);
    expect((await sh(id, 'rm x; exit 3')).limits).toBeUndefined();
  });

  test('keeps whole outputs up to a part of its disk, the newest', async () => {
    const id = await open();
    const say = (name: string) =>
      provider.exec(id, ['/bin/sh', '-c', 'head -c 900000 /dev/zero'], {
        timeoutMs: 30_000,
        headBytes: 10,
        outputFile: name,
      });
    for (let i = 0; i < 16; i++) await say(`out-${i}`);
    const left = (await sh(id, `ls ${provider.paths(id).output}`)).stdout.toString().trim().split('\n');
    expect(left).toHaveLength(Math.floor((100 * 1_048_576) / 8 / 900_000));
    expect(left).toContain('out-15');
    expect(left).not.toContain('out-0');
  });
});
