/**
 * Records the histories of this folder anew: `node test/histories/record.ts`, three minutes, with a Temporal server
 * and bubblewrap as `npm run setup` finds them. It runs
 * - examples/ts-library with conflicts, a retry, and continue-as-new of the planner;
 * - the small example of test/support/ledger.ts, with a compaction, whose worker is killed once (leases are lost and adopted), which a
 *   person pauses, steers and resumes; and once more, cancelled half-way.
 * Record only when a change of workflows is released that old runs need not survive; otherwise keep what is here,
 * add what is new under another name, and let workflows branch with `patched`.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Script } from '../../examples/scripted-model/conversation.ts';
import { registryAddresses } from '../../examples/demo/registries.ts';
import { loadExample } from '../../examples/scripted-model/example.ts';
import { pauseUpdate, resumeUpdate, steerUpdate } from '../../src/shared/messages.ts';
import { exampleOrigin } from '../support/examples.ts';
import { serveGit } from '../support/git-http.ts';
import { LEDGER_COMPACT_TOKENS, LEDGER_FILES, LEDGER_SPEC, ledgerScript } from '../support/ledger.ts';
import { historiesOf, type RunHistory } from '../support/model-calls.ts';
import { OwnServer } from '../support/own-server.ts';
import { bareRepository, temporaryFolder } from '../support/repos.ts';
import { Swarm } from '../support/swarm.ts';
import { keep, recordedHistories } from './store.ts';

/** Some turns of an agent: six events each. */
const SOME_TURNS = 15;

const folder = temporaryFolder();
const server = await OwnServer.start(folder.dir);
// By URL, so that no path of this machine is in a history.
const git = await serveGit(folder.dir);
try {
  const recorded = [...(await library()), ...(await ledger())];
  // What an earlier version wrote stays: the branches of `patched` are replayed with it.
  for (const { name } of recordedHistories()) if (!name.startsWith('earlier_')) rmSync(new URL(`${name}.json.gz`, import.meta.url));
  for (const [name, history] of named(recorded)) keep(name, history);
} finally {
  await git.close();
  await server.stop();
  folder.remove();
}

async function withSwarm(taskQueue: string, script: Script, body: (swarm: Swarm) => Promise<void>): Promise<RunHistory[]> {
  const { client, address } = server;
  const example = await loadExample('ts-library');
  const config = { sandbox: { privateAddresses: await registryAddresses(example, join(folder.dir, 'registries')) } };
  const swarm = await Swarm.start({ client, address, taskQueue, script, latencyMs: 100, config });
  try {
    await body(swarm);
    await swarm.settled(90_000);
    return await historiesOf(client, taskQueue);
  } finally {
    await swarm.stop();
  }
}

async function library(): Promise<RunHistory[]> {
  const example = await loadExample('ts-library');
  exampleOrigin(example, join(folder.dir, 'linework.git'));
  const wanted = /^(?:linework|merge-queue\/.*|linework\/(?:width|template|glob|duration|diff-trim)\.\d(?:\/.*)?)$/;
  const all = await withSwarm('library', example.script, async (swarm) => {
    await swarm.run('linework', {
      repo: git.url('linework.git'),
      spec: 'SPEC.md',
      branch: 'main',
      settings: { historyEvents: 150 },
    });
  });
  return all.filter(({ workflowId }) => wanted.test(workflowId));
}

async function ledger(): Promise<RunHistory[]> {
  bareRepository(join(folder.dir, 'ledger.git'), LEDGER_FILES);
  const settings = { compactTokens: LEDGER_COMPACT_TOKENS };
  const input = { repo: git.url('ledger.git'), spec: { text: LEDGER_SPEC }, settings };
  const wanted = /^(?:ledger|cancelled|(?:ledger|cancelled)\/(?:alpha|gamma|delta)\.\d(?:\/.*)?)$/;
  const all = await withSwarm('ledger', ledgerScript, async (swarm) => {
    const handle = await swarm.start('ledger', { ...input, branch: 'main' });
    await inTheMiddleOf('ledger/alpha.1/agent');
    await swarm.killWorker();
    await swarm.startWorker();
    await handle.executeUpdate(pauseUpdate, { args: [{ reason: 'a look at the first pages' }] });
    // Longer than a lease whose worker is gone stays unnoticed: it is adopted meanwhile.
    await sleep(28_000);
    await handle.executeUpdate(steerUpdate, { args: [{ text: 'Keep the pages short.' }] });
    await handle.executeUpdate(resumeUpdate);
    await handle.result();
    const second = await swarm.start('cancelled', input);
    await swarm.until('cancelled', ({ counts }) => counts.running > 3);
    await sleep(3_000);
    await second.cancel();
    await second.result().catch(() => undefined);
  });
  return all.filter(({ workflowId }) => wanted.test(workflowId));
}

/** Resolves when an agent has taken its first turns. */
async function inTheMiddleOf(workflowId: string): Promise<void> {
  const length = async () =>
    (await server.client.workflow.getHandle(workflowId).describe().catch(() => undefined))?.historyLength ?? 0;
  while ((await length()) < SOME_TURNS) await sleep(100);
}

/** `<workflow id>`, with a count behind it where continue-as-new made several runs of one. */
function named(all: readonly RunHistory[]): Map<string, RunHistory> {
  const names = new Map<string, RunHistory>();
  for (const each of all) {
    const id = each.workflowId.replace(/^merge-queue\/.*\//, 'merge-queue.').replace(/[^a-z0-9.-]+/gi, '_');
    for (let n = 1; ; n++) {
      const name = n === 1 ? id : `${id}.run-${n}`;
      if (names.has(name)) continue;
      names.set(name, each);
      break;
    }
  }
  return names;
}
