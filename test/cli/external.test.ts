import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Worker } from '@temporalio/worker';
import { join } from 'node:path';
import { temporal, type TestTemporal } from '../support/temporal.ts';
import { createLab, type Lab } from './fixture/command.ts';

describe('a run on a server of the person’s own', { timeout: 90_000 }, () => {
  let lab: Lab;
  let server: TestTemporal;
  let env: NodeJS.ProcessEnv;
  beforeAll(async () => {
    lab = await createLab();
    server = await temporal();
    env = { TEMPORAL_ADDRESS: server.address };
  }, 120_000);
  afterAll(() => lab.dispose());

  test('is said to wait when no worker polls, goes on after Ctrl-C, and is followed to its end', async () => {
    const id = server.uniqueQueue();
    const waiting = lab.start(['run', 'repo', '--spec', 'x', '--id', id], env);
    await waiting.says(`run ${id} has started`);
    expect(waiting.stderr()).toContain('no worker polls the task queue "agentswarm"');
    await waiting.says('no news of the run', 30_000);
    waiting.process.kill('SIGINT');
    const left = await waiting.ended;
    expect(left.code, left.stderr).toBe(130);
    expect(left.stderr).toContain(`Detached. The run goes on. Follow it again: agentswarm attach ${id}`);

    const worker = await Worker.create({
      connection: await server.workerConnection(),
      taskQueue: 'agentswarm',
      workflowBundle: { codePath: join(lab.dir, 'bundle.js') },
    });
    await worker.runUntil(async () => {
      const attached = lab.start(['attach', id, '--json'], env);
      await attached.says('note: spec: x');
      const steered = await lab.run(['steer', id, 'finish complete'], env);
      expect(steered.code, steered.stderr).toBe(0);
      const ended = await attached.ended;
      expect(ended.code, ended.stderr).toBe(0);
      expect(JSON.parse(ended.stdout)).toMatchObject({ run: id, status: 'complete' });
      const late = await lab.run(['pause', id], env);
      expect(late.code).toBe(2);
      expect(late.stderr).toContain('has ended already (completed)');
    });
  });

  test('is found through the profile of temporal.toml too', async () => {
    const { writeFileSync } = await import('node:fs');
    const toml = join(lab.dir, 'temporal.toml');
    writeFileSync(toml, `[profile.mine]\naddress = "${server.address}"\nnamespace = "default"\n`);
    const listed = await lab.run(['status'], { TEMPORAL_CONFIG_FILE: toml, TEMPORAL_PROFILE: 'mine' });
    expect(listed.code, listed.stderr).toBe(0);
    const missing = await lab.run(['status'], { TEMPORAL_CONFIG_FILE: join(lab.dir, 'no.toml') });
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain('no.toml, which does not exist');
  });

  test('is refused with the address when the server cannot be reached', async () => {
    const failed = await lab.run(['status'], { TEMPORAL_ADDRESS: '127.0.0.1:1' });
    expect(failed).toMatchObject({ code: 1, stdout: '' });
    expect(failed.stderr).toContain('Connecting to Temporal at 127.0.0.1:1 (from TEMPORAL_ADDRESS or temporal.toml)');
    expect(failed.stderr).not.toContain('    at ');
  });

  test('is not what `agentswarm dev` runs: it says so and starts nothing', async () => {
    const refused = await lab.run(['dev'], env);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(`names the server ${server.address}`);
  });
});
