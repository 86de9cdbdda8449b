import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { afterEach, expect, test } from 'vitest';
import type { RunReport } from '../../src/shared/contracts/run.ts';
import { CHANGE_TRAILER } from '../../src/shared/base/ids.ts';
import { LEDGER_COMPACT_TOKENS, LEDGER_FILES, LEDGER_RESULT, LEDGER_SPEC, ledgerScript } from '../support/ledger.ts';
import { answeredRequests, answersInHistory, historiesOf, type RunHistory } from '../support/model-calls.ts';
import { OwnServer } from '../support/own-server.ts';
import { processesOf } from '../support/processes.ts';
import { bareRepository, temporaryFolder } from '../support/repos.ts';
import { Swarm } from '../support/swarm.ts';
import { type Downtime, disturb, plan, random, type Victim } from './chaos.ts';

const VICTIMS: Victim[] = ['worker', 'worker', 'worker', 'server', 'server'];
const RUN = 'killed';
const QUEUE = 'faults';
/** From the last byte of an answer until the worker has it on its disk. */
const RECORDING_MS = 300;

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

test('a run whose worker is killed three times and whose server twice ends with the same tree, and pays once', {
  timeout: 280_000,
}, async () => {
  const seed = Number(process.env.AGENTSWARM_FAULT_SEED ?? Date.now() % 1_000_000);
  const kills = plan(VICTIMS, random(seed));
  console.log(
    `seed ${seed} (AGENTSWARM_FAULT_SEED): ${kills.map((k) => `${k.victim} after ${k.afterMs} ms`).join(', ')}`,
  );

  const folder = temporaryFolder('agentswarm-faults-');
  cleanUps.push(folder.remove);
  const server = await OwnServer.start(folder.dir);
  cleanUps.push(() => server.stop());
  const origin = bareRepository(join(folder.dir, 'origin.git'), LEDGER_FILES);
  const landings = join(folder.dir, 'landings');
  origin.hook(
    'post-receive',
    `while read old new ref; do [ "$ref" != refs/heads/main ] || date +%s%3N >> ${landings}; done`,
  );
  const { client, address } = server;
  const swarm = await Swarm.start({ client, address, taskQueue: QUEUE, script: ledgerScript, latencyMs: 300 });
  let stopped = false;
  const stop = async () => {
    if (!stopped) await swarm.stop();
    stopped = true;
  };
  cleanUps.push(stop);

  const handle = await swarm.start(RUN, {
    repo: origin.dir,
    spec: { text: LEDGER_SPEC },
    branch: 'main',
    settings: { maxWorkers: 6, compactTokens: LEDGER_COMPACT_TOKENS },
  });
  await swarm.until(RUN, ({ counts }) => counts.running > 0);
  const downtimes = await disturb(kills, {
    kill: (victim) => (victim === 'worker' ? swarm.killWorker() : server.kill()),
    bringBack: (victim) => (victim === 'worker' ? swarm.startWorker() : server.restart()),
  });
  const report = await resultThroughOutages(handle, swarm);

  expect(report).toMatchObject({ status: 'complete', target: 'main' });
  const expected = Object.fromEntries(Object.entries(LEDGER_RESULT).map(([path, text]) => [path, `100644 ${text}`]));
  expect(origin.files('main')).toEqual(expected);
  expect(report.retries).toBeGreaterThanOrEqual(1);

  const changes = origin
    .git('log', `--format=%(trailers:key=${CHANGE_TRAILER},valueonly)`, 'main')
    .split('\n')
    .filter(Boolean);
  expect(changes).toHaveLength(10);
  expect(new Set(changes).size).toBe(changes.length);

  const histories = await historiesOf(client, QUEUE);
  const times = readFileSync(landings, 'utf8').trim().split('\n').map(Number);
  expectKillsInside(downtimes, firstDispatch(histories), Math.max(...times));
  expectPaidOnce(swarm, histories, downtimes);

  await swarm.settled(80_000);
  expect(origin.refs()).toEqual(['refs/heads/main']);
  const ours = () => processesOf(swarm.dir).filter((line) => !line.startsWith(`${swarm.workerPid} `));
  // A deleted sandbox's files may still be on their way out.
  await expect.poll(ours, { timeout: 10_000 }).toEqual([]);
  const { dir } = swarm;
  await stop();
  expect(processesOf(dir)).toEqual([]);
});

/** A client's long poll does not outlive its server. */
async function resultThroughOutages(handle: WorkflowHandle, swarm: Swarm): Promise<RunReport> {
  const deadline = Date.now() + 200_000;
  for (;;) {
    try {
      const overdue = sleep(deadline - Date.now(), undefined, { ref: false }).then(() => {
        throw new Error(`the run has not ended in time\n${swarm.logTail()}`);
      });
      return (await Promise.race([handle.result(), overdue])) as RunReport;
    } catch (error) {
      if (error instanceof WorkflowFailedError || Date.now() > deadline) throw error;
      await sleep(500);
    }
  }
}

function firstDispatch(histories: readonly RunHistory[]): number {
  const planner = histories.find(({ workflowId }) => workflowId === RUN);
  const event = planner?.history.events?.find(
    ({ startChildWorkflowExecutionInitiatedEventAttributes: a }) => a != null,
  );
  return Number(event?.eventTime?.seconds ?? Number.NaN) * 1_000 + Number(event?.eventTime?.nanos ?? 0) / 1e6;
}

function expectKillsInside(downtimes: readonly Downtime[], first: number, last: number): void {
  expect(downtimes.map(({ victim }) => victim).sort()).toEqual([...VICTIMS].sort());
  for (const [i, { victim, from }] of downtimes.entries()) {
    const where = `${victim} was killed ${Math.round(from - first)} ms after the first dispatch, the last landing was at ${Math.round(last - first)} ms`;
    console.log(where);
    expect(from, where).toBeGreaterThan(first);
    expect(from, where).toBeLessThan(last);
    const before = downtimes[i - 1];
    if (before !== undefined) expect(from - before.from).toBeGreaterThanOrEqual(2_000);
  }
}

function expectPaidOnce(swarm: Swarm, histories: readonly RunHistory[], downtimes: readonly Downtime[]): void {
  const recorded = answersInHistory(histories);
  const answered = answeredRequests(swarm.model.log);
  for (const [key, times] of recorded) {
    expect(times, `${key} is in history`).toHaveLength(1);
    expect(answered.has(key), `${key} was answered by the model`).toBe(true);
  }
  const twice = [...answered].filter(([, requests]) => requests.length > 1);
  for (const [key, [first, ...others]] of twice) {
    if (first === undefined) continue;
    const end = (first.endedAt ?? Number.POSITIVE_INFINITY) + RECORDING_MS;
    const hit = downtimes.find(({ from, to }) => first.receivedAt <= to && end >= from);
    expect(hit, `${key} was answered twice, and its first request overlapped no kill`).toBeDefined();
    for (const again of others) {
      const at = recorded.get(key)?.[0] ?? Number.POSITIVE_INFINITY;
      expect(at, `${key} was asked again although its answer was in history`).toBeGreaterThanOrEqual(again.receivedAt);
    }
  }
  const cut = swarm.model.log.filter(({ aborted }) => aborted).length;
  console.log(
    `${swarm.model.log.length} requests: ${answered.size} keys answered, ${twice.length} of them twice or more, ` +
      `${cut} requests cut off; ${recorded.size} answers in history`,
  );
}
