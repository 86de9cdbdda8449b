/** A host that dies while it pushes a checkpoint, or while `setup` runs in it: another one goes on. */
import { chmodSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Play, step } from '../../examples/scripted-model/steps.ts';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import { fileOn, landedOn } from '../support/branches.ts';
import { processesOf } from '../support/processes.ts';
import { bareRepository, type TestRepository } from '../support/repos.ts';
import { planned, type Scenario, scenarioScript, specOf } from '../support/scenarios.ts';
import { useHosts } from '../support/use-swarm.ts';

const STEPS = 12;
const POLL = { timeout: 90_000, interval: 20 };
const bash = (command: string) => ({ name: 'bash', arguments: { command } });

/** Its one task appends the number of each step to a file. */
const counting: Scenario = {
  plan: ({ planned: known }) => ({ tasks: known.size === 0 ? [planned('count')] : [], done: true }),
  tasks: {
    count: (): Play => ({
      steps: Array.from({ length: STEPS }, (_, i) => step('On.', bash(`echo ${i + 1} >> count.txt; sleep 0.2`))),
      handoff: { status: 'complete', summary: 'All steps.' },
    }),
  },
};
const prepared: Scenario = {
  plan: ({ planned: known }) => ({ tasks: known.size === 0 ? [planned('take')] : [], done: true }),
  tasks: {
    take: (): Play => ({
      steps: [step('On.', bash('cat deps/first deps/last > taken.txt'))],
      handoff: { status: 'complete', summary: 'Taken.' },
    }),
  },
};

/** The remote takes long over the third push of a task's work, and says that it has begun with it. */
function slowThirdPush(origin: TestRepository): string {
  const mark = join(origin.dir, 'third-push');
  const hook = join(origin.dir, 'hooks', 'pre-receive');
  writeFileSync(
    hook,
    `#!/bin/sh
cat > '${mark}.refs'
grep -q refs/agentswarm/runs/ '${mark}.refs' || exit 0
echo x >> '${mark}.count'
[ "$(wc -l < '${mark}.count')" -eq 3 ] || exit 0
: > '${mark}'
sleep 3
`,
  );
  chmodSync(hook, 0o755);
  return mark;
}

describe('a host that dies', () => {
  const startHost = useHosts({
    script: scenarioScript({ counting, prepared }),
    latencyMs: 300,
    config: { sandbox: { checkpointPushSeconds: 1 } },
  });

  test('while a checkpoint is pushed loses nothing that was on the remote before', { timeout: 240_000 }, async () => {
    const dying = await startHost();
    const origin = bareRepository(join(dying.dir, 'counting.git'));
    const base = origin.tip();
    const mark = slowThirdPush(origin);
    const handle = await dying.start('hosts-push', { repo: origin.dir, spec: specOf('counting'), branch: 'main' });
    await expect.poll(() => existsSync(mark), POLL).toBe(true);
    await dying.killWorker();
    await expect.poll(() => processesOf(dying.stateDir), { timeout: 10_000 }).toEqual([]);
    rmSync(dying.stateDir, { recursive: true });
    const kept = origin.git('show', 'refs/agentswarm/runs/hosts-push/count.1:count.txt');
    expect(kept).toMatch(/^1(?:\n|$)/);

    const living = await startHost(dying.taskQueue);
    expect((await handle.result()) as RunReport).toMatchObject({ status: 'complete', landed: 1, retries: 0 });
    const landed = fileOn(origin.dir, 'main', 'count.txt');
    expect(landed.startsWith(kept.trimEnd()), `${landed} after ${kept}`).toBe(true);
    const numbers = landed.trim().split('\n').map(Number);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(numbers.at(-1)).toBe(STEPS);
    expect(landedOn(origin.dir, 'main', base)).toHaveLength(1);
    await living.settled();
    expect(origin.refs('refs/agentswarm/runs/')).toEqual([]);
  });

  test('while setup runs leaves no half of it, there or elsewhere', { timeout: 240_000 }, async () => {
    const dying = await startHost();
    const origin = bareRepository(join(dying.dir, 'prepared.git'));
    origin.git('branch', 'start', 'main');
    const settings = {
      setup: {
        command: 'mkdir deps && echo first > deps/first && sleep 4 && echo last > deps/last',
        keyFiles: [],
        network: 'none' as const,
        timeoutMinutes: 2,
      },
    };
    const input = { repo: origin.dir, spec: specOf('prepared'), branch: 'main', settings };
    const handle = await dying.start('hosts-setup', input);
    const first = () =>
      dying
        .sandboxes()
        .some(
          (id) => id.startsWith('setup-') && existsSync(join(dying.stateDir, 'sandboxes', id, 'workspace/deps/first')),
        );
    await expect.poll(first, POLL).toBe(true);
    await dying.killWorker();
    await expect.poll(() => processesOf(dying.stateDir), { timeout: 10_000 }).toEqual([]);

    const living = await startHost(dying.taskQueue);
    expect((await handle.result()) as RunReport).toMatchObject({ status: 'complete', landed: 1, retries: 0 });
    expect(fileOn(origin.dir, 'main', 'taken.txt')).toBe('first\nlast\n');
    await living.stop();

    // The one that died begins anew: what was half done is taken away, and not taken for a result.
    await dying.startWorker();
    await expect.poll(() => dying.sandboxes(), POLL).toEqual([]);
    const report = await dying.run('hosts-setup-again', { ...input, base: 'start', branch: 'again' });
    expect(report).toMatchObject({ status: 'complete', landed: 1 });
    expect(fileOn(origin.dir, 'again', 'taken.txt')).toBe('first\nlast\n');
    await expect.poll(() => readdirSync(join(dying.stateDir, 'trash')), POLL).toEqual([]);
  });
});
