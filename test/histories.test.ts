import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DeterminismViolationError } from '@temporalio/workflow';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker, type WorkflowBundleOption } from '@temporalio/worker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { historyOf, type Recorded, readableText, recordedHistories } from './histories/store.ts';
import { temporaryFolder } from './support/repos.ts';
import { sharedWorkflowBundle } from './support/temporal.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const recorded = recordedHistories();

/** Two activities change places in each kind of workflow. */
const SWAPS: { type: string; file: string; swap: [string, string] }[] = [
  {
    type: 'planner',
    file: 'planner/planning-round.ts',
    swap: ['runActivities.briefPlanner', 'runActivities.briefReplan'],
  },
  { type: 'task', file: 'task/sandbox-lease.ts', swap: ['.holdSandbox', '.adoptSandbox'] },
  { type: 'agent', file: 'agent/opening.ts', swap: ['openingActivities.briefAndThink', 'runActivities.briefWorker'] },
  {
    type: 'mergeQueue',
    file: 'merge-queue/merge-queue.ts',
    swap: ['mergeActivities.landBatch', 'answerActivities.answerRequesters'],
  },
];

const logger = new DefaultLogger('ERROR');
Runtime.install({ logger });

/** Spans go nowhere. */
const sinks = { exporter: { export: { fn: () => undefined } } };

const replay = (workflowBundle: WorkflowBundleOption, history: Recorded): Promise<void> =>
  Worker.runReplayHistory({ workflowBundle, sinks }, historyOf(history), history.workflowId);

describe('the histories of released runs', () => {
  let bundle: WorkflowBundleOption;
  beforeAll(async () => {
    bundle = await sharedWorkflowBundle();
  });

  test('cover every kind of workflow, with a continue-as-new, a conflict, a retry, a lost lease and a cancellation', () => {
    const has = (type: string, text: string) =>
      recorded.some((each) => each.type === type && readableText(each.json).includes(text));
    expect(new Set(recorded.map(({ type }) => type))).toEqual(new Set(['planner', 'task', 'agent', 'mergeQueue']));
    expect(has('planner', 'EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW')).toBe(true);
    expect(has('agent', 'EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW')).toBe(true);
    expect(has('mergeQueue', '"conflicted"')).toBe(true);
    expect(recorded.some(({ type, workflowId }) => type === 'agent' && workflowId.includes('/conflict'))).toBe(true);
    expect(recorded.some(({ workflowId }) => workflowId.endsWith('.2'))).toBe(true);
    expect(has('task', 'adoptSandbox')).toBe(true);
    expect(has('planner', 'EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED')).toBe(true);
    expect(has('task', 'EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED')).toBe(true);
  });

  test.each(recorded.map((each) => [each.name, each] as const))('%s replays', async (_name, history) => {
    await replay(bundle, history);
  });

  test('say nothing of the machine that they were recorded on, and hold no key', () => {
    for (const { name, json } of recorded) {
      const text = readableText(json);
      const found = text.match(
        /.{0,40}(?:\/(?:root|work|home\/(?!agent)\w+|tmp\/agentswarm-)\/|test-key|Bearer |Authorization).{0,40}/g,
      );
      expect.soft(found ?? [], name).toEqual([]);
    }
  });
});

describe('a change of a workflow that running runs would not survive', () => {
  const folder = temporaryFolder('agentswarm-mutant-');
  let mutant: WorkflowBundleOption;
  afterAll(() => folder.remove());

  beforeAll(async () => {
    for (const part of ['workflows', 'shared']) {
      mkdirSync(join(folder.dir, 'src'), { recursive: true });
      cpSync(join(ROOT, 'src', part), join(folder.dir, 'src', part), { recursive: true });
    }
    cpSync(join(ROOT, 'package.json'), join(folder.dir, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(folder.dir, 'node_modules'));
    for (const { file, swap } of SWAPS) exchange(join(folder.dir, 'src/workflows', file), ...swap);
    const at = (name: string) => join(folder.dir, 'src/workflows', name);
    mutant = await bundleWorkflowCode({
      workflowsPath: at('index.ts'),
      workflowInterceptorModules: [at('bundle/interceptors.ts')],
      logger,
    });
  });

  test.each(SWAPS)('is noticed: $swap swapped in $file', async ({ type }) => {
    const first = recorded.find((each) => each.type === type);
    if (first === undefined) throw new Error(`no history of a ${type} is recorded`);
    await expect(replay(mutant, first)).rejects.toThrow(DeterminismViolationError);
  });
});

/** Both must be in the file, or the mutant would be none. */
function exchange(file: string, a: string, b: string): void {
  const before = readFileSync(file, 'utf8');
  for (const name of [a, b]) if (!before.includes(`${name}(`)) throw new Error(`${file} does not call ${name}`);
  const pattern = new RegExp(`(?:${[a, b].map((name) => name.replace('.', '\\.')).join('|')})\\(`, 'g');
  writeFileSync(
    file,
    before.replace(pattern, (found) => (found === `${a}(` ? `${b}(` : `${a}(`)),
  );
}
