import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exampleScript } from '../../../examples/scripted-model/example.ts';
import { type ScriptedModel, startScriptedModel } from '../../../examples/scripted-model/server.ts';
import { check, edit, type Play, read, step, unnumbered, write } from '../../../examples/scripted-model/steps.ts';
import { LOOP_TEXT } from '../../../src/shared/agent/text.ts';
import { ROLE_TOOLS } from '../../../src/shared/agent/tools.ts';
import { type AgentRun, handoffOf } from '../agent.ts';
import { anthropicClient, type Ask, openAiClient, type Result } from '../model-client.ts';

/** Writes, edits twice in one turn, and checks that each edit was made exactly once. */
const careful: Play = {
  steps: [
    step('Write.', write('list', 'first\nlast\n')),
    step('Edit.', edit('list', 'first\n', 'first\nsecond\n'), edit('list', 'last\n', 'third\nlast\n')),
    step('Look.', read('list')),
    check('Right?', 'printf "first\\nsecond\\nthird\\nlast\\n" | cmp - list'),
  ],
  handoff: { status: 'complete', summary: 'Done.', suggestions: ['More.'] },
};
const hopeless: Play = { ...careful, steps: [check('Right?', 'echo wrong; false')], repairs: 0 };

const script = exampleScript('test', {
  planner: { look: [], goals: '', plan: () => ({ tasks: [], done: true, reasoning: '' }) },
  tasks: { careful: () => careful, hopeless: (attempt) => (attempt === 1 ? hopeless : careful) },
  conflicts: { files: {}, command: 'true' },
});

let dir: string;
let model: ScriptedModel;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'agentswarm-steps-'));
  model = await startScriptedModel({ script });
});
afterEach(async () => {
  await model.stop();
  rmSync(dir, { recursive: true, force: true });
});

const worker = (ask: Ask, task: string, more: Partial<AgentRun> = {}): AgentRun => ({
  ask,
  role: 'worker',
  system: '# Worker',
  user: `Task: ${task}\nAttempt: 1\n`,
  dir,
  ...more,
});
const list = (): string => readFileSync(join(dir, 'list'), 'utf8');

describe.each([
  ['OpenAI', openAiClient],
  ['Anthropic', anthropicClient],
] as const)('over the protocol of %s', (_name, client) => {
  const interruptedAt = (at: number, which: 'before' | 'in between' | 'after'): AgentRun['meddle'] => {
    return (turn, calls, run) => {
      if (turn !== at) return run();
      const lost = (id: string): Result => ({ callId: id, status: 'interrupted', output: 'It was interrupted.' });
      if (which === 'before') return calls.map((call) => lost(call.id));
      const results = run();
      // In between: the first call gave its result before the worker died.
      return results.map((result, i) => (which === 'in between' && i === 0 ? result : lost(result.callId)));
    };
  };

  test.each([1, 2, 3, 4].flatMap((at) => (['before', 'in between', 'after'] as const).map((which) => ({ at, which }))))(
    'turn $at interrupted $which: the work is done once, and right',
    async ({ at, which }) => {
      const handoff = await handoffOf(worker(client(model.url), 'careful', { meddle: interruptedAt(at, which) }));
      expect(handoff).toMatchObject({ status: 'complete', suggestions: ['More.'] });
      expect(list()).toBe('first\nsecond\nthird\nlast\n');
    },
  );

  test.each([1, 2, 3, 4, 5])('compacted before turn %i, it goes on where it was', async (compactAt) => {
    const handoff = await handoffOf(worker(client(model.url), 'careful', { compactAt }));
    expect(handoff).toMatchObject({ status: 'complete', turns: 5 });
    expect(list()).toBe('first\nsecond\nthird\nlast\n');
  });
});

test('a work tree that was lost without a word is mended when the check fails', async () => {
  let lost = 0;
  const meddle: AgentRun['meddle'] = (turn, _calls, run) => {
    if (turn === 4 && lost++ === 0) rmSync(join(dir, 'list'));
    return run();
  };
  const handoff = await handoffOf(worker(openAiClient(model.url), 'careful', { meddle }));
  expect(handoff.status).toBe('complete');
  expect(handoff.turns).toBe(9);
});

test('a check that fails is handed off as failed with its output, and the next attempt does better', async () => {
  const ask = openAiClient(model.url);
  const first = await handoffOf(worker(ask, 'hopeless'));
  expect(first.status).toBe('failed');
  expect(first.summary).toContain('wrong');
  const second = await handoffOf(worker(ask, 'hopeless', { user: 'Task: hopeless\nAttempt: 2\n' }));
  expect(second.status).toBe('complete');
});

test('a task that the script does not have is handed off as blocked', async () => {
  const handoff = await handoffOf(worker(openAiClient(model.url), 'nobody'));
  expect(handoff).toMatchObject({ status: 'blocked', turns: 1 });
  expect(handoff.summary).toContain('nobody');
});

test('on its last turn it hands off what is done', async () => {
  const ask = openAiClient(model.url);
  const answer = await ask(
    [
      { role: 'system', text: '# Worker' },
      { role: 'user', text: 'Task: careful\nAttempt: 1' },
      { role: 'user', text: LOOP_TEXT.lastTurn('The limit is reached.', 'submit_handoff') },
    ],
    ROLE_TOOLS.worker.tools,
  );
  expect(JSON.parse(answer.calls[0]?.arguments ?? '')).toMatchObject({ status: 'partial' });
});

test('numbered lines become the file again, and a text without numbers stays', () => {
  expect(unnumbered('1\ta\n2\t\n3\t  b')).toBe('a\n\n  b\n');
  expect(unnumbered('plain\ntext\n')).toBe('plain\ntext\n');
});
