/** A whole run with `sandbox.provider: "modal"`: the real SDK, against a Modal of the test's own. */
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Play, step } from '../../examples/scripted-model/steps.ts';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import { readableText } from '../histories/store.ts';
import { fileOn, landedOn } from '../support/branches.ts';
import { allObjects, type Canary, canariesBelow, canariesIn, canary } from '../support/canaries.ts';
import { historiesOf } from '../support/model-calls.ts';
import { whyNoContainers } from '../support/modal-double/container.ts';
import { modalSwarm, type ModalSwarm, POLL, secret } from '../support/modal-swarm.ts';
import { atOnce, planned, type Scenario, scenarioScript, specOf } from '../support/scenarios.ts';

const SECRETS: Canary[] = Object.values(secret);
/** Left by the agent in its work and in its last words: what is searched has it, or finding no secret means nothing. */
const plant = canary('plant');

const bash = (command: string) => ({ name: 'bash', arguments: { command } });
const LOOK = 'env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; cat /opt/agentswarm/commands/*';

/** Both take the result of `setup` along, and change the same line. */
const adds = (task: string) => (): Play => ({
  steps: [
    step('I write.', bash(`echo "${task} $(cat deps/file)" > list.txt; echo '${plant.value}' > ${task}.txt`)),
    step('I look around.', bash(`(${LOOK}) > ${task}.seen 2>/dev/null; true`)),
  ],
  handoff: { status: 'complete', summary: `Added by ${task}. ${plant.value}` },
});
const work: Scenario = {
  plan: ({ planned: known }) => ({ tasks: known.size === 0 ? [planned('left'), planned('right')] : [], done: true }),
  tasks: { left: adds('left'), right: adds('right') },
  conflicts: () => atOnce({ text: '', calls: [bash(`sed -i '/^[<=>|]/d' list.txt && sort -o list.txt list.txt`)] }),
};
describe.skipIf(whyNoContainers() !== undefined)('a run whose sandboxes are on Modal', () => {
  let host: ModalSwarm;
  beforeAll(async () => {
    host = await modalSwarm(scenarioScript({ work }));
  }, 90_000);
  afterAll(() => host?.close());

  test('lands the work of agents there, a conflict and setup included, and leaves no sandbox', async () => {
    const base = host.origin.tip();
    const report: RunReport = await host.swarm.run('modal-work', {
      repo: host.origin.dir,
      spec: specOf('work'),
      branch: 'main',
      settings: {
        setup: {
          command: 'mkdir deps && echo made > deps/file',
          keyFiles: [],
          network: { allow: ['registry.example.com'] },
          timeoutMinutes: 2,
        },
      },
    });
    expect(report).toMatchObject({ status: 'complete', landed: 2, conflicts: 1 });
    expect(landedOn(host.origin.dir, 'main', base)).toHaveLength(2);
    expect(fileOn(host.origin.dir, 'main', 'list.txt')).toBe('left made\nright made\n');
    expect(host.origin.git('ls-tree', '--name-only', 'main')).not.toContain('deps');
    await expect.poll(() => host.double.running(), POLL).toEqual([]);
    const asked = host.double.requests('SandboxCreateV2').map(({ definition }) => {
      const { name, networkAccess } = definition as { name: string; networkAccess: { allowedDomains: string[] } };
      return `${name.split('-')[0]}: ${networkAccess.allowedDomains.join()}`;
    });
    expect(asked.toSorted()).toEqual([
      ...['sb: api.example.com', 'sb: api.example.com', 'sb: api.example.com'],
      'setup: registry.example.com',
    ]);
  }, 90_000);

  test('shows none of the worker’s secrets: there, in histories, logs, commits, or in what Modal is asked', async () => {
    for (const task of ['left', 'right']) {
      const seen = fileOn(host.origin.dir, 'main', `${task}.seen`);
      expect(seen).toContain('IMAGE_SAYS=hello');
      expect(canariesIn(seen, SECRETS)).toEqual([]);
    }
    const histories = await historiesOf(host.client, host.queue);
    const text = histories.map(({ history }) => readableText(JSON.parse(historyToJSON(history)))).join('\n');
    const asked = host.double.calls.map(({ request }) => JSON.stringify(request, asText)).join('\n');
    for (const haystack of [text, asked, allObjects(host.origin.dir)]) {
      expect(canariesIn(haystack, [plant])).toEqual(['plant']);
      expect(canariesIn(haystack, SECRETS)).toEqual([]);
    }
    // The file systems of sandboxes that have ended are still there.
    for (const dir of [host.dir, host.swarm.stateDir]) {
      expect(canariesBelow(dir, [plant]).length).toBeGreaterThan(0);
      expect(canariesBelow(dir, SECRETS)).toEqual([]);
    }
    expect(canariesIn(host.swarm.logTail(Number.MAX_SAFE_INTEGER), SECRETS)).toEqual([]);
  }, 30_000);
});

const asText = (_key: string, value: unknown): unknown => {
  const bytes = value as { type?: string; data?: number[] } | null;
  return bytes?.type === 'Buffer' ? Buffer.from(bytes.data ?? []).toString('latin1') : value;
};
