/** The runner itself, as a process of this machine: what no sandbox has to be made for. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ROOT } from '../../../../src/activities/sandbox/modal/layout.ts';
import {
  commandLine,
  RunnerAnswer,
  type RunnerCommand,
  RunnerError,
  runnerArgv,
} from '../../../../src/activities/sandbox/modal/runner.ts';
import { Config } from '../../../../src/shared/config/worker-config.ts';
import { temporaryFolder } from '../../../support/repos.ts';

const { limits } = Config.parse({}).sandbox;

describe.skipIf(!existsSync('/usr/bin/python3'))('the runner of commands on Modal', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  beforeEach(() => {
    folder = temporaryFolder('agentswarm-runner-');
  });
  afterEach(() => folder.remove());

  const script = (text: string, more: Partial<RunnerCommand> = {}): RunnerCommand => ({
    argv: ['/bin/sh', '-c', text],
    cwd: folder.dir,
    env: { PATH: '/usr/bin:/bin' },
    identity: ROOT,
    stdinBytes: undefined,
    timeoutMs: 30_000,
    limits,
    worker: 'test',
    registry: undefined,
    ...more,
  });

  /** All that it writes; its input stays open until it ends. */
  async function run(line: Buffer): Promise<Buffer> {
    const [, ...args] = runnerArgv();
    const child = spawn('/usr/bin/python3', args, { stdio: ['pipe', 'pipe', 'inherit'], env: {} });
    child.stdin.write(line);
    const chunks: Buffer[] = [];
    for await (const chunk of child.stdout) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }

  test('ends a command whose worker is silent, with all that it has started', async () => {
    const line = JSON.parse(commandLine(script('setsid sleep 600 & echo $!; exec sleep 600')).toString()) as object;
    const answer = new RunnerAnswer();
    answer.push(await run(Buffer.from(`${JSON.stringify({ ...line, silenceMs: 400 })}\n`)));
    const result = answer.result();
    expect(result).toMatchObject({ reason: 'aborted', exitCode: 137 });
    const pid = Number(result?.stdout.toString());
    expect(pid).toBeGreaterThan(1);
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
  });

  test('is understood in whatever pieces its answer comes', async () => {
    const answered = await run(
      commandLine(script('seq 1 2000; echo said >&2; exit 4', { headBytes: 100, tailBytes: 50 })),
    );
    for (const size of [1, 3, 5, 7, answered.length]) {
      const answer = new RunnerAnswer();
      for (let from = 0; from < answered.length; from += size) {
        expect(answer.ended).toBe(false);
        answer.push(answered.subarray(from, from + size));
      }
      const result = answer.result();
      expect(result).toMatchObject({ exitCode: 4, reason: 'exit', truncated: true, bytes: 8_893, stderr: 'said\n' });
      expect(result?.stdout.toString().startsWith('1\n2\n3\n')).toBe(true);
      expect(result?.stdout.length).toBe(100);
      expect(result?.tail.toString().endsWith('\n1999\n2000\n')).toBe(true);
      expect(result?.tail.length).toBe(50);
    }
  });

  test('says that it knows no outcome when the whole of an output cannot be kept', async () => {
    const outputFile = join(folder.dir, 'nowhere', 'file');
    const answer = new RunnerAnswer();
    answer.push(await run(commandLine(script('seq 1 2000', { headBytes: 10, outputFile }))));
    expect(() => answer.result()).toThrow(RunnerError);
    expect(() => answer.result()).toThrow(/nowhere/);
  });

  test('is not believed when it says something else', () => {
    const frame = (kind: string, text: string) => {
      const header = Buffer.alloc(5);
      header.write(kind);
      header.writeUInt32BE(Buffer.byteLength(text), 1);
      return Buffer.concat([header, Buffer.from(text)]);
    };
    expect(() => new RunnerAnswer().push(Buffer.from('Killed\n'))).toThrow(RunnerError);
    expect(() => new RunnerAnswer().push(frame('X', 'x'))).toThrow(/none of the runner/);
    expect(() => new RunnerAnswer().push(frame('E', '{"exitCode":"0"}'))).toThrow(RunnerError);
    expect(() => new RunnerAnswer().push(frame('E', 'nonsense'))).toThrow(RunnerError);
    const cut = new RunnerAnswer();
    cut.push(frame('H', 'half'));
    expect(cut.result()).toBeUndefined();
  });
});
