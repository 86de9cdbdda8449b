import { expect, test } from 'vitest';
import type { Conversation, Turn } from '../../../examples/scripted-model/conversation.ts';
import {
  nextPlannerTurn,
  type PlannedTask,
  type PlannerScript,
  viewOf,
} from '../../../examples/scripted-model/planning.ts';
import { Plan } from '../../../src/shared/contracts/plan.ts';
import { RUN_TEXT } from '../../../src/shared/planner/text.ts';

const task = (id: string, dependsOn: string[] = []): PlannedTask => ({
  id,
  description: id,
  scope: [`${id}.ts`],
  acceptance: [],
  priority: 5,
  dependsOn,
});

const script: PlannerScript = {
  look: [{ name: 'ls', arguments: {} }],
  goals: 'both',
  plan: (view) => ({
    tasks: view.complete(['a']) ? [task('a'), task('b', ['a'])] : [task('a')],
    done: view.complete(['a']),
    reasoning: 'as it comes',
  }),
};

const TOOLS = ['read', 'ls', 'submit_plan'];
const talk = (...turns: Turn[]): Conversation => ({
  protocol: 'openai',
  model: 'm',
  system: '# Root planner',
  turns: [{ role: 'user', text: 'the spec' }, ...turns],
  tools: TOOLS,
});

/** What was planned, and the turns with which the conversation goes on. */
function planned(conversation: Conversation): { plan: Plan; turns: Turn[] } {
  const answer = nextPlannerTurn(script, conversation);
  const call = answer.calls[0];
  if (call?.name !== 'submit_plan') throw new Error(`no plan but ${call?.name}`);
  const turns: Turn[] = [
    { role: 'assistant', text: answer.text, calls: [{ ...call, id: 'c' }] },
    { role: 'tool', results: [{ callId: 'c', status: 'ok', output: 'Accepted.' }] },
  ];
  return { plan: Plan.parse(call.arguments), turns };
}

const looked: Turn[] = [
  { role: 'assistant', text: '', calls: [{ id: 'l', name: 'ls', arguments: {} }] },
  { role: 'tool', results: [{ callId: 'l', status: 'ok', output: 'a' }] },
];
const handoff = (id: string, status: string, attempt = 1): string =>
  `### Handoffs\n<data source="agents">\n### Handoff: ${id} (attempt ${attempt}): ${status}\nsummary: two\n  lines\n- concern: slow\n- suggestion: faster\nfiles changed: none\n</data>`;
const user = (text: string): Turn => ({ role: 'user', text });

test('it looks first, then plans what it can, and plans the rest after the handoff, each task once', () => {
  expect(nextPlannerTurn(script, talk()).calls).toEqual(script.look);
  const first = planned(talk(...looked));
  expect(first.plan.tasks.map(({ id }) => id)).toEqual(['a']);
  expect(first.plan.done).toBe(false);
  const second = planned(talk(...looked, ...first.turns, user(handoff('a', 'complete'))));
  expect(second.plan.tasks.map(({ id }) => id)).toEqual(['b']);
  expect(second.plan.done).toBe(true);
});

test('a handoff is read with its attempt, concerns and suggestions', () => {
  const view = viewOf(talk(user(handoff('a', 'failed', 2))));
  expect(view.handoffs.get('a')).toEqual({
    task: 'a',
    attempt: 2,
    status: 'failed',
    summary: 'two',
    concerns: ['slow'],
    suggestions: ['faster'],
  });
});

test.each([
  RUN_TEXT.failed('a', 3, 'reason'),
  RUN_TEXT.blocked('a'),
  RUN_TEXT.conflicted('a', ['x.ts']),
  RUN_TEXT.ejected('a', 'reason'),
  RUN_TEXT.cancelled('a', 'z'),
])('"%s": the task is given out again under a new id, and others wait for that', (event) => {
  const first = planned(talk(...looked));
  const lost = talk(
    ...looked,
    ...first.turns,
    user(`${handoff('a', 'complete')}\n\n### Events\n<data source="the run">\n- ${event}\n</data>`),
  );
  const again = planned(lost);
  expect(again.plan.tasks.map(({ id }) => id)).toEqual(['a-r2']);
  const after = planned(talk(...lost.turns.slice(1), ...again.turns, user(handoff('a-r2', 'complete'))));
  expect(after.plan.tasks).toMatchObject([{ id: 'b', dependsOn: ['a-r2'] }]);
});

test.each([RUN_TEXT.landed('a', '1234567890abc'), RUN_TEXT.retried('a', 2), RUN_TEXT.nothingLeft('a')])(
  '"%s": nothing is given out again',
  (event) => {
    const first = planned(talk(...looked));
    expect(viewOf(talk(...first.turns, user(`### Events\n- ${event}`))).lost).toEqual(new Set());
  },
);

test('a conversation that was begun anew goes on from the scratchpad', () => {
  const first = planned(talk(...looked));
  const second = planned(talk(...looked, ...first.turns, user(handoff('a', 'complete'))));
  const { state } = second.plan.scratchpad;
  const brief = `### Your scratchpad\n<data source="your last plan">\nstate:\n${state}\n</data>`;
  const third = planned(talk(user(brief)));
  expect(third.plan).toMatchObject({ tasks: [], done: true });
  const view = viewOf(
    talk(user('### Tasks planned so far\n<data source="x">\n- b (running, branch none): b\n</data>')),
  );
  expect([...view.planned]).toEqual(['b']);
});

test('a plan that was refused is not remembered as planned', () => {
  const first = planned(talk(...looked));
  const refused: Turn = { role: 'tool', results: [{ callId: 'c', status: 'error', output: 'The plan is not usable' }] };
  expect(viewOf(talk(...looked, first.turns[0] as Turn, refused)).planned.size).toBe(0);
});
