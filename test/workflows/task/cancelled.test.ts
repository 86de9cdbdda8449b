/** What a task tells its planner that is cut off: what its agents have used, once, whatever they were at. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ThinkResult } from '../../../src/shared/contracts/agent.ts';
import { cancelledAfter } from '../../../src/shared/agent/failure.ts';
import type { MergeOutcome } from '../../../src/shared/contracts/merge.ts';
import { NO_METRICS, type Used } from '../../../src/shared/contracts/task.ts';
import { DEFAULT_RUN_SETTINGS } from '../../../src/shared/contracts/run-settings.ts';
import {
  answer,
  BRIEF,
  CLOSES,
  COLLECTED,
  MAX_OUTPUT,
  SHA,
  type TaskStage,
  taskStage,
  untilCancelled,
} from './stage.ts';

const BASH = answer('bash', '{"command":"true"}');
const LONG = { inputTokens: DEFAULT_RUN_SETTINGS.compactTokens + 1, cachedInputTokens: 0, outputTokens: 100 };
const SUMMARY: ThinkResult = { ...BASH, message: { role: 'assistant', text: 'So far, so good.', toolCalls: [] } };
const ONE_TURN = { turns: 1, inputTokens: 400, outputTokens: 100, costUsd: 0.01 };
const CONFLICT: MergeOutcome = { kind: 'conflicted', files: ['a.txt'], tip: SHA };

let stage: TaskStage;
beforeAll(async () => {
  stage = await taskStage();
}, 60_000);
afterAll(() => stage.close(), 60_000);

const started: TaskStage['started'] = (script, settings) => stage.started(script, settings);

describe('a task that is cancelled', () => {
  test('before its agent has begun has used nothing', async () => {
    const { task, until, told, status } = await started({ ' holdSandbox': [] });
    await until(' holdSandbox');
    await task.cancel();
    const { handoffs } = await told();
    expect(handoffs).toMatchObject([{ queued: false, handoff: { status: 'failed', metrics: { turns: 0 } } }]);
    expect(handoffs[0]?.handoff.estimated).toBeUndefined();
    expect(await status()).toBe('CANCELLED');
  }, 30_000);

  test('in a call tells what was used before it, and the most that the call may cost', async () => {
    const { task, agent, until, told, status } = await started({
      '/agent briefAndThink': [{ messages: [BRIEF], answer: BASH }],
    });
    await until('/agent actAndThink');
    await task.cancel();
    const { handoffs, outcomes } = await told();
    expect(handoffs).toMatchObject([{ queued: false, handoff: { status: 'failed', metrics: ONE_TURN } }]);
    const { tokens = 0, usd = 0 } = handoffs[0]?.handoff.estimated ?? {};
    // What is known of its input, the longest answer, and what one tool gives at most.
    expect(tokens).toBeGreaterThan(400 + MAX_OUTPUT + 10_000);
    expect(tokens).toBeLessThan(400 + MAX_OUTPUT + 10_000 + 200);
    expect(usd).toBeCloseTo((tokens * 0.01) / 500, 6);
    expect(outcomes).toEqual([]);
    expect(await status()).toBe('CANCELLED');
    expect((await agent.describe()).status.name).toBe('CANCELLED');
  }, 30_000);

  test('while its agent only uses tools tells exactly what was used', async () => {
    const { task, until, told } = await started({
      '/agent briefAndThink': [{ messages: [BRIEF, BRIEF, BRIEF], answer: { ...BASH, usage: LONG } }],
    });
    await until('/agent act');
    await task.cancel();
    const { handoffs } = await told();
    expect(handoffs).toMatchObject([{ handoff: { metrics: { turns: 1, inputTokens: LONG.inputTokens } } }]);
    expect(handoffs[0]?.handoff.estimated).toBeUndefined();
  }, 30_000);

  test('in its first call knows no dollars', async () => {
    const { task, until, told } = await started({});
    await until('/agent briefAndThink');
    await task.cancel();
    const { handoffs } = await told();
    expect(Object.keys(handoffs[0]?.handoff.estimated ?? {})).toEqual(['tokens']);
  }, 30_000);

  test('tells what its agent used in all of its runs', async () => {
    const { task, until, told } = await started({
      '/agent briefAndThink': [{ messages: [BRIEF, BRIEF, BRIEF], answer: { ...BASH, usage: LONG } }],
      '/agent act': [{ results: [{ callId: 'call-bash', name: 'bash', status: 'ok', output: 'x' }] }],
      '/agent think': [SUMMARY],
    });
    // The summary, and the first call of the next run.
    await until('/agent think', 2);
    await task.cancel();
    const { handoffs } = await told();
    const metrics = { turns: 2, inputTokens: LONG.inputTokens + 400, costUsd: 0.02 };
    expect(handoffs).toMatchObject([{ handoff: { status: 'failed', metrics } }]);
    expect(handoffs[0]?.handoff.estimated?.tokens).toBeGreaterThan(MAX_OUTPUT);
  }, 30_000);

  test('tells what an external agent said that it had used, and what it may have', async () => {
    const used: Used = { metrics: { ...NO_METRICS, ...ONE_TURN }, estimated: { tokens: 7_000, usd: 0.14 } };
    const program = (known: Used) => () =>
      untilCancelled().catch((cancelled: unknown) => {
        throw cancelledAfter(cancelled, known);
      });
    for (const known of [used, { metrics: used.metrics }] as Used[]) {
      const script = {
        '/agent briefWorker': [{ messages: [BRIEF] }],
        '/agent act': [{ results: [{ callId: 'checkpoint-1', name: 'bash', status: 'ok', output: '' }] }],
        '/agent runCommand': [program(known)],
      };
      const { task, until, told } = await started(script, {
        agent: { ...DEFAULT_RUN_SETTINGS.agent, engine: 'command', argv: ['an-agent'] },
      });
      await until('/agent runCommand');
      await task.cancel();
      const { handoffs } = await told();
      expect(handoffs).toMatchObject([{ handoff: { status: 'failed', metrics: ONE_TURN } }]);
      expect(handoffs[0]?.handoff.estimated).toEqual(known.estimated);
    }
  }, 30_000);

  test('while its work is collected tells exactly what was used', async () => {
    const { task, until, told } = await started(CLOSES);
    await until(' collectWork');
    await task.cancel();
    const { handoffs, outcomes } = await told();
    expect(handoffs).toMatchObject([{ queued: false, handoff: { status: 'failed', metrics: ONE_TURN } }]);
    expect(handoffs[0]?.handoff.estimated).toBeUndefined();
    expect(outcomes).toEqual([]);
  }, 30_000);

  test('while an agent resolves a conflict tells what that one used apart', async () => {
    const { task, until, told } = await started({
      ...CLOSES,
      ' collectWork': [COLLECTED],
      ' handOff': [CONFLICT],
      '/conflict.1 briefAndThink': [{ messages: [BRIEF], answer: BASH }],
    });
    await until('/conflict.1 actAndThink');
    await task.cancel();
    const { handoffs, outcomes } = await told();
    // With its request, and again at its end: its planner takes it once.
    expect(new Set(handoffs.map(({ id }) => id)).size).toBe(1);
    for (const { handoff } of handoffs) expect(handoff).toMatchObject({ status: 'complete', metrics: ONE_TURN });
    expect(outcomes).toMatchObject([{ outcome: { kind: 'ejected' }, conflicts: 1, conflictMetrics: ONE_TURN }]);
    expect(outcomes[0]?.conflictEstimated?.tokens).toBeGreaterThan(10_000);
  }, 30_000);
});

test('of an agent that was terminated nothing is known', async () => {
  const { agent, until, told, status } = await started({
    '/agent briefAndThink': [{ messages: [BRIEF], answer: BASH }],
    ' collectWork': [{ ...COLLECTED, commit: undefined }],
  });
  await until('/agent actAndThink');
  await agent.terminate();
  const { handoffs } = await told();
  expect(handoffs).toMatchObject([{ handoff: { status: 'failed', metrics: { turns: 0 }, estimated: {} } }]);
  expect(await status()).toBe('COMPLETED');
}, 30_000);
