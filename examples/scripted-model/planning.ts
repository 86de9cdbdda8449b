/**
 * What a planner of a script knows: what it planned and what came back, read out of the conversation and, where
 * a conversation had to start anew, out of its own scratchpad.
 */
import {
  type Conversation,
  isSummaryWanted,
  rounds,
  type ScriptAnswer,
  type ScriptCall,
  userTexts,
} from './conversation.ts';

export type SeenHandoff = {
  task: string;
  attempt: number;
  status: string;
  summary: string;
  concerns: string[];
  suggestions: string[];
};

/** One task of `submit_plan`. */
export type PlannedTask = {
  id: string;
  description: string;
  scope: string[];
  acceptance: { text: string; command?: string }[];
  priority: number;
  dependsOn?: string[];
  divide?: boolean;
};

export type PlanningView = {
  planned: ReadonlySet<string>;
  /** The newest handoff of each task. */
  handoffs: ReadonlyMap<string, SeenHandoff>;
  /** Tasks that ended without landing, and will not be tried again by themselves. */
  lost: ReadonlySet<string>;
  /** What people have said. */
  said: readonly string[];
  /** Lines below `### Events`, oldest first. */
  events: readonly string[];
  /** Whether every one of these tasks, or what was given out in its place, has handed off as `complete`. */
  complete(ids: readonly string[]): boolean;
};

export type PlannerScript = {
  /** What it looks at before the first plan. */
  look: ScriptCall[];
  goals: string;
  /** All tasks that can be planned by now, planned ones included; `done` when nothing will follow. */
  plan(view: PlanningView): { tasks: PlannedTask[]; done: boolean; reasoning: string };
};

/** What the planner does next. Pure. */
export function nextPlannerTurn(script: PlannerScript, conversation: Conversation): ScriptAnswer {
  const view = viewOf(conversation);
  if (isSummaryWanted(conversation)) return { text: memory(view).join('\n'), calls: [] };
  const looked = rounds(conversation).length > 0 || view.planned.size > 0;
  if (!looked && script.look.length > 0 && script.look.every((call) => conversation.tools.includes(call.name))) {
    return { text: 'I look at the repository first.', calls: script.look };
  }
  const wanted = script.plan(view);
  const tasks = freshTasks(view, wanted.tasks);
  const scratchpad = {
    goals: script.goals,
    state: memory(view, tasks).join('\n'),
    reasoning: wanted.reasoning,
    intelligence: [...view.handoffs.values()]
      .flatMap((handoff) => [...handoff.concerns, ...handoff.suggestions])
      .join('\n'),
  };
  return {
    text: wanted.reasoning,
    calls: [{ name: 'submit_plan', arguments: { scratchpad, tasks, done: wanted.done } }],
  };
}

/** `width-r2` is the task `width`, given out a second time. */
export const baseTask = (id: string): string => id.replace(/-r\d+$/, '');

const roundOf = (id: string): number => Number.parseInt(/-r(\d+)$/.exec(id)?.[1] ?? '1', 10);

/** A task is given out so often at most; then the script has nothing better to offer. */
const MAX_ROUNDS = 4;

/**
 * What is not planned yet, and again what was lost, under a new id (ids are never used twice). Whoever depends
 * on a lost task depends on its successor.
 */
function freshTasks(view: PlanningView, wanted: readonly PlannedTask[]): PlannedTask[] {
  const newest = new Map<string, string>();
  for (const id of view.planned) {
    if (roundOf(id) >= roundOf(newest.get(baseTask(id)) ?? '')) newest.set(baseTask(id), id);
  }
  const fresh: PlannedTask[] = [];
  for (const task of wanted) {
    const last = newest.get(task.id);
    if (last !== undefined && (!view.lost.has(last) || roundOf(last) >= MAX_ROUNDS)) continue;
    const id = last === undefined ? task.id : `${task.id}-r${roundOf(last) + 1}`;
    newest.set(task.id, id);
    fresh.push({ ...task, id });
  }
  return fresh.map((task) => ({ ...task, dependsOn: (task.dependsOn ?? []).map((id) => newest.get(id) ?? id) }));
}

const PLANNED = 'Planned: ';
const LOST = 'Lost: ';
const HANDED_OFF = 'Handed off: ';
const SAID = 'Said: ';

/** Lines that viewOf reads again. */
function memory(view: PlanningView, more: readonly PlannedTask[] = []): string[] {
  return [
    `${PLANNED}${[...view.planned, ...more.map((task) => task.id)].join(', ')}`,
    `${LOST}${[...view.lost].join(', ')}`,
    ...view.said.map((text) => `${SAID}${text}`),
    ...[...view.handoffs.values()].map(
      (seen) => `${HANDED_OFF}${JSON.stringify({ ...seen, summary: seen.summary.slice(0, 100) })}`,
    ),
  ];
}

/** What the conversation has told so far. */
export function viewOf(conversation: Conversation): PlanningView {
  const planned = new Set<string>();
  const lost = new Set<string>();
  const handoffs = new Map<string, SeenHandoff>();
  const events: string[] = [];
  const said = new Set<string>();
  for (const text of userTexts(conversation)) {
    readMemory(text, { planned, lost, handoffs, said });
    for (const item of itemsBelow(text, '### From the people who run this')) said.add(item);
    for (const seen of readHandoffs(text)) handoffs.set(seen.task, seen);
    events.push(...itemsBelow(text, '### Events'));
    for (const item of itemsBelow(text, '### Tasks planned so far')) planned.add(item.split(' ', 1)[0] ?? '');
  }
  for (const event of events) {
    const task = /^Task (\S+?):? (?:failed for good|is blocked|conflicts with|did not land|is cancelled)/.exec(
      event,
    )?.[1];
    if (task !== undefined) lost.add(task);
  }
  for (const { calls, results } of rounds(conversation)) {
    for (const call of calls) {
      const accepted = results.some((result) => result.callId === call.id && /^accepted/i.test(result.output));
      if (call.name === 'submit_plan' && accepted) for (const id of idsOf(call.arguments['tasks'])) planned.add(id);
    }
  }
  const complete = (ids: readonly string[]): boolean =>
    ids.every((id) =>
      [...handoffs.values()].some(
        (seen) => baseTask(seen.task) === id && seen.status === 'complete' && !lost.has(seen.task),
      ),
    );
  return { planned, handoffs, lost, said: [...said], events, complete };
}

const idsOf = (tasks: unknown): string[] =>
  Array.isArray(tasks)
    ? tasks.map((task: { id?: unknown } | null) => String(task?.id ?? '')).filter((id) => id !== '')
    : [];

type Memory = { planned: Set<string>; lost: Set<string>; said: Set<string>; handoffs: Map<string, SeenHandoff> };

function readMemory(text: string, { planned, lost, said, handoffs }: Memory): void {
  const list = (line: string): string[] => line.split(', ').filter((id) => id !== '');
  for (const line of text.split('\n')) {
    if (line.startsWith(PLANNED)) for (const id of list(line.slice(PLANNED.length))) planned.add(id);
    if (line.startsWith(LOST)) for (const id of list(line.slice(LOST.length))) lost.add(id);
    if (line.startsWith(SAID)) said.add(line.slice(SAID.length));
    if (line.startsWith(HANDED_OFF)) {
      const seen = JSON.parse(line.slice(HANDED_OFF.length)) as SeenHandoff;
      handoffs.set(seen.task, seen);
    }
  }
}

function readHandoffs(text: string): SeenHandoff[] {
  return text.split(/^(?=### )/m).flatMap((section) => {
    const head = /^### Handoff: (\S+) \(attempt (\d+)\): (\w+)/.exec(section);
    if (head === null) return [];
    const bullets = (kind: string): string[] =>
      [...section.matchAll(new RegExp(`^- ${kind}: (.*)$`, 'gm'))].map((match) => match[1] ?? '');
    return [
      {
        task: head[1] ?? '',
        attempt: Number.parseInt(head[2] ?? '1', 10),
        status: head[3] ?? '',
        summary: /^summary: (.*)$/m.exec(section)?.[1] ?? '',
        concerns: bullets('concern'),
        suggestions: bullets('suggestion'),
      },
    ];
  });
}

/** The `- …` items of a section. */
function itemsBelow(text: string, heading: string): string[] {
  const section = text.split(/^(?=### )/m).find((part) => part.startsWith(heading));
  return [...(section ?? '').matchAll(/^- (.*)$/gm)].map((match) => match[1] ?? '');
}
