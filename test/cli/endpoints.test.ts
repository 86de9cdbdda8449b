import { mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ProviderFailure } from '../../src/activities/llm/failures.ts';
import { type EndpointSlot, Router } from '../../src/activities/llm/router/router.ts';
import { publishEndpoints } from '../../src/activities/llm/status-file.ts';
import { readWorkerEndpoints } from '../../src/cli/worker-endpoints.ts';
import { WorkerEndpoints } from '../../src/shared/contracts/endpoint-status.ts';
import { endpointTo, KEY } from '../activities/llm/support.ts';
import { createTestLog } from '../support/log.ts';
import { cleanEnvironment, type Ended, startCommand } from './fixture/command.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const at = { openaiUrl: 'http://h/v1', anthropicUrl: 'http://h' };
const tokens = { inputTokens: 1_000, cachedInputTokens: 400, cacheWriteInputTokens: 0, outputTokens: 50 };

let dir: string;
let stateDir: string;
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'agentswarm-endpoints-')));
  stateDir = join(dir, 'state');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const run = (...args: string[]): Promise<Ended> =>
  startCommand(['endpoints', '--state-dir', stateDir, ...args], { cwd: dir, env: cleanEnvironment(dir), main: MAIN })
    .ended;

/** One endpoint that answers and one that is down; the calls of a real router. */
async function workedRouter(): Promise<Router> {
  const [good, bad] = [
    endpointTo(at, 'openai', { name: 'good', limits: { concurrency: 1, requestsPerMinute: 100 } }),
    endpointTo(at, 'anthropic', { name: 'bad' }),
  ];
  const router = new Router({ endpoints: [good, bad], random: () => 0.99 });
  const lease = async (conversation: string, refused: ReadonlySet<typeof good> = new Set()): Promise<EndpointSlot> => {
    const turn = await router.acquire({
      role: 'worker',
      conversation,
      refused,
      notBefore: new Map(),
      estimatedTokens: 0,
      since: Date.now(),
      signal: new AbortController().signal,
      patienceMs: 60_000,
    });
    if (turn.kind !== 'lease') throw new Error(turn.kind);
    return turn.lease;
  };
  for (let i = 0; i < 3; i++) {
    const failure = new ProviderFailure('unavailable', 'bad (model-a): silent\u001b[2J for 2 s');
    (await lease(`b${i}`, new Set([good]))).end({ kind: 'failed', failure });
  }
  (await lease('g', new Set([bad]))).end({
    kind: 'answered',
    firstTokenMs: 40,
    tokens,
    countedTokens: 1_050,
    costUsd: 0.25,
  });
  return router;
}

test('the command shows how the endpoints of a worker stand, and that nobody’s key is in it', async () => {
  const stop = publishEndpoints({ router: await workedRouter(), stateDir, log: createTestLog() });
  await expect.poll(() => readWorkerEndpoints(stateDir).length).toBe(1);
  const shown = await run();
  expect(shown).toMatchObject({ code: 0, stderr: '' });
  expect(shown.stdout).toMatch(/^worker \d+, started .* ago$/m);
  expect(shown.stdout).toMatch(/^good \(openai\) {2}up$/m);
  expect(shown.stdout).toMatch(/0 of 1 calls, \d+ of 100 requests a minute left/);
  expect(shown.stdout).toContain('1 requests: 1 answered, 0 failed');
  expect(shown.stdout).toContain('tokens 1.0k in (400 cached), 50 out; $0.25');
  expect(shown.stdout).toMatch(/^bad \(anthropic\) {2}DOWN for .*next try in/m);
  expect(shown.stdout).toMatch(/failed {3}.* ago: bad \(model-a\): silent \[2J for 2 s/);
  const json = await run('--json');
  const [worker] = JSON.parse(json.stdout) as unknown[];
  expect(WorkerEndpoints.parse(worker).endpoints.map(({ name, health }) => [name, health])).toEqual([
    ['good', 'up'],
    ['bad', 'down'],
  ]);
  expect(`${shown.stdout}${json.stdout}`).not.toContain(KEY);
  await stop();
  expect(readdirSync(join(stateDir, 'endpoints'))).toEqual([]);
});

test('without a worker it says so, with 1; a file that is old, torn or of another version is as good as none', async () => {
  const none = await run();
  expect(none).toMatchObject({ code: 1, stdout: '' });
  expect(none.stderr).toContain(`No worker runs with the state folder ${stateDir}`);
  const stop = publishEndpoints({ router: await workedRouter(), stateDir, log: createTestLog() });
  await expect.poll(() => readWorkerEndpoints(stateDir).length).toBe(1);
  expect(readWorkerEndpoints(stateDir, Date.now() + 60_000)).toEqual([]);
  writeFileSync(join(stateDir, 'endpoints', '1.json'), '{"version":1,');
  writeFileSync(join(stateDir, 'endpoints', '2.json'), '{"version":7}');
  expect(readWorkerEndpoints(stateDir).map(({ pid }) => pid)).toEqual([process.pid]);
  await stop();
});

test('a folder that cannot be written costs one warning', async () => {
  writeFileSync(join(dir, 'state'), '');
  const log = createTestLog();
  const stop = publishEndpoints({ router: await workedRouter(), stateDir, log });
  await expect.poll(() => log.lines.length).toBe(1);
  await stop();
  expect(log.lines[0]).toMatchObject({ level: 'warn' });
});
