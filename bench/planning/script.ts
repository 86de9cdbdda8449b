/** A planner that replans after every few handoffs, and workers with something to say. Pure, as any script. */
import {
  type Conversation,
  roleOf,
  rounds,
  type Script,
  type ScriptAnswer,
  taskOf,
} from '../../examples/scripted-model/conversation.ts';
import { viewOf } from '../../examples/scripted-model/planning.ts';

export type Load = { replans: number; first: number; each: number };

/** In one round of so many it looks at files before it plans. */
const LOOKS = 4;

const SENTENCES = [
  'It takes the rows as they come and gives them back sorted by the key that the caller names.',
  'Errors carry the name of the field and the value that was found, cut to eighty characters.',
  'The format is that of the module before it, so that both can be read by the same parser.',
  'Empty input is no error: the result is empty too, and the log says so once.',
  'Numbers keep their precision; dates are read as UTC unless the row says otherwise.',
  'Callers rely on the order of the keys, which is that of the first row.',
  'Files of another version are refused with both versions in the message.',
];

const prose = (seed: number, sentences: number): string =>
  Array.from({ length: sentences }, (_, i) => SENTENCES[(seed + i * 3) % SENTENCES.length]).join(' ');

/** What is to be built, in chapters: as long as specs of such projects are. */
export const spec = (chapters: number): string =>
  Array.from({ length: chapters }, (_, i) => `## ${i + 1}. Module ${i}\n\n${prose(i, 5)}\n`).join('\n');

export const planningScript = (load: Load): Script => ({
  name: 'planning',
  answer: (conversation) => (roleOf(conversation) === 'planner' ? plan(conversation, load) : work(conversation)),
});

const total = ({ replans, first, each }: Load): number => first + replans * each;

function plan(conversation: Conversation, load: Load): ScriptAnswer {
  const view = viewOf(conversation);
  const made = rounds(conversation).filter(({ calls }) => calls.some(({ name }) => name === 'submit_plan')).length;
  const last = conversation.turns.at(-1);
  if (made % LOOKS === 1 && last?.role === 'user') {
    const read = (path: string) => ({ name: 'read', arguments: { path } });
    return {
      text: 'I look at what has landed.',
      calls: [read(`src/part-${made % 20}/module-${made}.ts`), read('AGENTS.md')],
    };
  }
  const planned = view.planned.size;
  const count = Math.min(planned === 0 ? load.first : load.each, total(load) - planned);
  const tasks = Array.from({ length: count }, (_, i) => taskSpec(planned + i));
  const scratchpad = {
    goals: prose(0, 8),
    state: `Planned ${planned + count} of ${total(load)}; ${view.handoffs.size} have handed off. ${prose(planned, 3)}`,
    reasoning: prose(planned + 1, 4),
    intelligence: `${prose(3, 6)} ${prose(planned + 2, 3)}`,
  };
  const done = planned + count === total(load);
  return { text: prose(planned, 1), calls: [{ name: 'submit_plan', arguments: { scratchpad, tasks, done } }] };
}

const fileOf = (task: number): string => `lib/part-${task % 20}/made-${task}.ts`;

function taskSpec(task: number) {
  const test = fileOf(task).replace('lib/', 'test/').replace('.ts', '.test.ts');
  return {
    id: `task-${task}`,
    description: `Write ${fileOf(task)} as chapter ${task} of the spec says.\n\n${prose(task, 6)}`,
    scope: [fileOf(task), test],
    acceptance: [{ text: prose(task + 2, 1) }, { text: prose(task + 4, 1) }],
    priority: 5,
  };
}

function work(conversation: Conversation): ScriptAnswer {
  const task = Number((taskOf(conversation) ?? 'task-0').slice('task-'.length));
  const content = Array.from({ length: 30 }, (_, i) => `export const value${i} = ${task + i};\n`).join('');
  const handoff = {
    status: 'complete',
    summary: `Wrote ${fileOf(task)}. ${prose(task, 4)}`,
    concerns: [prose(task + 1, 1)],
    suggestions: task % 2 === 0 ? [prose(task + 5, 1)] : [],
  };
  return {
    text: prose(task, 1),
    calls: [
      { name: 'write', arguments: { path: fileOf(task), content } },
      { name: 'submit_handoff', arguments: handoff },
    ],
  };
}
