/** The model of the overhead benchmark: N tasks, each one `bash` call a turn until its turns are used up. */
import {
  type Conversation,
  roleOf,
  type Script,
  type ScriptAnswer,
  taskOf,
} from '../../examples/scripted-model/conversation.ts';

export type Load = { agents: number; turns: number };

export const overheadScript = ({ agents, turns }: Load): Script => ({
  name: 'overhead',
  answer: (conversation) =>
    roleOf(conversation) === 'planner' ? plan(conversation, agents) : work(conversation, turns),
});

function plan(conversation: Conversation, agents: number): ScriptAnswer {
  const first = answersIn(conversation) === 0;
  const tasks = Array.from({ length: first ? agents : 0 }, (_, i) => ({
    id: `task-${i}`,
    description: `Write notes/task-${i}.txt`,
    scope: [`notes/task-${i}.txt`],
    acceptance: [{ text: 'the file exists' }],
    priority: 5,
  }));
  const scratchpad = { goals: 'measure', state: '', reasoning: '', intelligence: '' };
  return { text: 'Plan.', calls: [{ name: 'submit_plan', arguments: { scratchpad, tasks, done: true } }] };
}

/** turns − 1 commands, each of which changes a file (so that a checkpoint is taken), then the handoff. */
function work(conversation: Conversation, turns: number): ScriptAnswer {
  const id = taskOf(conversation) ?? 'unknown';
  const turn = answersIn(conversation) + 1;
  if (turn < turns) {
    const command = `mkdir -p notes && echo "turn ${turn}" >> notes/${id}.txt && wc -l notes/${id}.txt`;
    return { text: `Turn ${turn}.`, calls: [{ name: 'bash', arguments: { command } }] };
  }
  const handoff = { status: 'complete', summary: `Wrote notes/${id}.txt.`, concerns: [], suggestions: [] };
  return { text: 'Done.', calls: [{ name: 'submit_handoff', arguments: handoff }] };
}

const answersIn = (conversation: Conversation): number =>
  conversation.turns.filter((turn) => turn.role === 'assistant').length;
