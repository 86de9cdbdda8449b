/** The model of the benchmark: hundreds of small tasks in rounds, each done in one turn. Pure, as any script. */
import {
  type Conversation,
  roleOf,
  rounds,
  type Script,
  type ScriptAnswer,
  taskOf,
  userTexts,
} from '../../examples/scripted-model/conversation.ts';

export type Load = { tasks: number; perRound: number };

/** All that its planner remembers is how many tasks it has planned: in its calls, or in its own scratchpad. */
export const scaleScript = (load: Load): Script => ({
  name: 'scale',
  answer: (conversation) => (roleOf(conversation) === 'planner' ? plan(conversation, load) : work(conversation)),
});

const FOLDERS = 50;

export const fileOf = (task: number): string => `notes/${task % FOLDERS}/task-${task}.txt`;

function plan(conversation: Conversation, { tasks, perRound }: Load): ScriptAnswer {
  const planned = plannedSoFar(conversation);
  const next = Array.from({ length: Math.min(perRound, tasks - planned) }, (_, i) => planned + i);
  const done = planned + next.length === tasks;
  const scratchpad = {
    goals: `${tasks} notes, each in a file of its own.`,
    state: `Planned so far: ${planned + next.length}`,
    reasoning: 'The notes stand alone: the next ones follow as workers become free.',
    intelligence: 'Nothing that a worker said changes the plan.',
  };
  const specs = next.map((task) => ({
    id: `task-${task}`,
    description: `Write ${fileOf(task)} with the number of the note.\nOne line, nothing else.`,
    scope: [fileOf(task)],
    acceptance: [{ text: 'The file has the number of the note.' }],
    priority: 5,
  }));
  return {
    text: `I plan ${next.length} more notes.`,
    calls: [{ name: 'submit_plan', arguments: { scratchpad, tasks: specs, done } }],
  };
}

/** The newest number stands, wherever it is. */
function plannedSoFar(conversation: Conversation): number {
  const seen = [
    ...userTexts(conversation).flatMap((text) => [...text.matchAll(/Planned so far: (\d+)/g)].map((match) => match[1])),
    ...rounds(conversation).flatMap(({ calls, results }) =>
      calls.flatMap((call) => {
        const accepted = results.some(({ callId, output }) => callId === call.id && output.startsWith('Accepted'));
        const { state } = (call.arguments['scratchpad'] ?? {}) as { state?: string };
        return accepted ? [/Planned so far: (\d+)/.exec(state ?? '')?.[1]] : [];
      }),
    ),
  ];
  return Math.max(0, ...seen.map(Number));
}

function work(conversation: Conversation): ScriptAnswer {
  const id = taskOf(conversation) ?? 'task-0';
  const path = fileOf(Number(id.slice('task-'.length)));
  const handoff = { status: 'complete', summary: `Wrote ${path}.`, concerns: [], suggestions: [] };
  return {
    text: 'I write the note and hand off.',
    calls: [
      { name: 'write', arguments: { path, content: `${id}\n` } },
      { name: 'submit_handoff', arguments: handoff },
    ],
  };
}
