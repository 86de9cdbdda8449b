/**
 * The merge queue over real remotes, its worker killed at every boundary between "enqueue" and "answered". A killed
 * worker is noticed by the end of its heartbeats, 20 s: so there are many lanes with few kills each.
 */
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { temporaryFolder } from '../support/repos.ts';
import { temporal } from '../support/temporal.ts';
import { BOUNDARIES, type Boundary, Lane } from './landing-lane.ts';

const LANES = 18;
const KILLS_EACH = 3;

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

test(`nothing lands twice, is lost, or moves the branch backwards when the worker is killed ${LANES * KILLS_EACH} times`, {
  timeout: 240_000,
}, async () => {
  const folder = temporaryFolder('agentswarm-landing-');
  cleanUps.push(folder.remove);
  const server = await temporal();
  const client = await server.client();
  const { codePath } = await server.workflowBundle();
  const lanes = Array.from({ length: LANES }, (_, i) => {
    const dir = join(folder.dir, `lane-${i}`);
    return new Lane({ dir, address: server.address, taskQueue: server.uniqueQueue(), codePath, client });
  });
  const kills = new Map<Boundary, number>();
  await Promise.all(
    lanes.map(async (lane, i) => {
      cleanUps.push(() => lane.stopWorker());
      lane.startWorker();
      for (let round = 0; round < KILLS_EACH; round++) {
        const boundary = BOUNDARIES[(i + 2 * round) % BOUNDARIES.length];
        if (boundary === undefined) throw new Error('unreachable: there are boundaries');
        await lane.killAt(boundary, round);
      }
    }),
  );
  for (const lane of lanes) {
    for (const [boundary, count] of await lane.judge()) kills.set(boundary, (kills.get(boundary) ?? 0) + count);
  }
  console.log([...kills].map(([boundary, count]) => `${count} ${boundary}`).join(', '));
  expect([...kills.keys()].sort()).toEqual([...BOUNDARIES].sort());
  expect([...kills.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(50);
});
