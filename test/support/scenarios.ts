/** Scripts of end-to-end tests: several scenarios behind one scripted model, told apart by spec and task ids. */
import { type ConflictScript, nextConflictTurn } from '../../examples/scripted-model/conflicts.ts';
import {
  attemptOf,
  type Conversation,
  roleOf,
  type Script,
  type ScriptAnswer,
  taskOf,
  userTexts,
} from '../../examples/scripted-model/conversation.ts';
import {
  baseTask,
  nextPlannerTurn,
  type PlannedTask,
  type PlanningView,
} from '../../examples/scripted-model/planning.ts';
import { handoffAnswer, nextTurn, type Play, step, write } from '../../examples/scripted-model/steps.ts';

type Worker = (attempt: number, conversation: Conversation) => Play | ScriptAnswer;

export type Scenario = {
  /** All tasks that can be planned by now; what was planned before is left out by itself. Pure. */
  plan(view: PlanningView, conversation: Conversation): { tasks: PlannedTask[]; done: boolean };
  /** By task id; `a-r2`, which the planner gives out when `a` was lost, plays `a`. */
  tasks: Readonly<Record<string, Worker>>;
  conflicts?: ConflictScript | (() => ScriptAnswer);
  /** The fix tasks for what the checks say; undefined: these errors are not of this scenario. */
  fixes?(errors: string): PlannedTask[] | undefined;
  /** How tasks are divided that are given to subplanners, by task id. */
  divisions?: Readonly<Record<string, Scenario['plan']>>;
};

/** A run is given the spec `specOf(name)`; ids of tasks are unique over all scenarios of a script. */
export const specOf = (name: string): { text: string } => ({ text: `Scenario: ${name}\n` });

export function scenarioScript(scenarios: Readonly<Record<string, Scenario>>): Script {
  const ofTask = (task: string | undefined): Scenario => {
    const found = Object.values(scenarios).find(
      (scenario) => task !== undefined && Object.hasOwn(scenario.tasks, baseTask(task)),
    );
    if (found === undefined) throw new Error(`no scenario has the task "${task ?? ''}"`);
    return found;
  };
  return {
    name: 'scenarios',
    answer(conversation) {
      const role = roleOf(conversation);
      if (role === 'planner') {
        const name = /^Scenario: (\S+)$/m.exec(userTexts(conversation).join('\n'))?.[1] ?? '';
        const scenario = scenarios[name];
        if (scenario === undefined) throw new Error(`there is no scenario "${name}"`);
        const divided = taskOf(conversation);
        const planner = divided === undefined ? scenario.plan : scenario.divisions?.[baseTask(divided)];
        if (planner === undefined) throw new Error(`the scenario does not divide "${divided ?? ''}"`);
        const plan = (view: PlanningView) => ({
          ...planner(view, conversation),
          reasoning: 'As the script says.',
        });
        return nextPlannerTurn({ look: [], goals: name, plan }, conversation);
      }
      if (role === 'reconciler') {
        const errors = userTexts(conversation).join('\n');
        const tasks = Object.values(scenarios).flatMap((scenario) => scenario.fixes?.(errors) ?? []);
        return { text: 'This is what is wrong.', calls: [{ name: 'submit_fixes', arguments: { tasks } }] };
      }
      const task = taskOf(conversation);
      const scenario = ofTask(task);
      if (role === 'conflict') {
        if (scenario.conflicts === undefined) throw new Error(`the scenario of "${task ?? ''}" expects no conflict`);
        if (typeof scenario.conflicts === 'function') return scenario.conflicts();
        return nextConflictTurn(scenario.conflicts, conversation);
      }
      const play = scenario.tasks[baseTask(task ?? '')]?.(attemptOf(conversation), conversation);
      if (play === undefined) throw new Error(`the script has no task "${task ?? ''}"`);
      return 'steps' in play ? nextTurn(play, conversation) : play;
    },
  };
}

export const planned = (id: string, more: Partial<PlannedTask> = {}): PlannedTask => ({
  id,
  description: `Do ${id}.`,
  scope: [],
  acceptance: [],
  priority: 5,
  ...more,
});

/** Writes files in one turn, hands off as complete in the next. */
export const writes =
  (files: Readonly<Record<string, string>>, summary = 'Written.'): (() => Play) =>
  () => ({
    steps: [step('I write.', ...Object.entries(files).map(([path, content]) => write(path, content)))],
    handoff: { status: 'complete', summary },
  });

/** Works for as many turns, each with a file and something to say. */
export const slowly =
  (id: string, turns: number, say = ''): (() => Play) =>
  () => ({
    steps: Array.from({ length: turns }, (_, i) =>
      step(`Step ${i + 1}. ${say}`.trim(), write(`${id}/${i + 1}.txt`, `${i + 1}\n`)),
    ),
    handoff: { status: 'complete', summary: `${turns} steps.` },
  });

/** Calls and the handoff in one turn. */
export const atOnce = (answer: ScriptAnswer, summary = 'Done.'): ScriptAnswer => ({
  text: answer.text,
  calls: [...answer.calls, ...handoffAnswer({ status: 'complete', summary }).calls],
});
