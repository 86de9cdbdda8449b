/** An example: a spec, a starting repository, what its checks are, and the script that builds it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ConflictScript, nextConflictTurn } from './conflicts.ts';
import {
  attemptOf,
  type Conversation,
  roleOf,
  type Script,
  type ScriptAnswer,
  taskOf,
  userTexts,
} from './conversation.ts';
import { baseTask, nextPlannerTurn, type PlannedTask, type PlannerScript } from './planning.ts';
import { handoffAnswer, nextTurn, type Play } from './steps.ts';

export type Example = {
  name: string;
  /** Folder of the example: has SPEC.md and repository/. */
  dir: string;
  /** What must exit 0 in a fresh clone of the result, run by bash. */
  check: string;
  script: Script;
  /** What a person says to the planner in a demo, once the first task has handed off. */
  steering?: string;
};

export type ExampleScript = {
  planner: PlannerScript;
  /** How tasks are divided that go to a subplanner, by their ids. */
  divisions?: Readonly<Record<string, PlannerScript>>;
  /** What the agent of a task does at an attempt (from 1). */
  tasks: Readonly<Record<string, (attempt: number) => Play>>;
  conflicts: ConflictScript;
  /** The fix tasks for what the checks of the branch say. */
  fixes?(errors: string): PlannedTask[];
};

/** The script of an example: every request goes to the part that plays the role of who asks. */
export function exampleScript(name: string, parts: ExampleScript): Script {
  return { name, answer: (conversation) => answer(parts, conversation) };
}

function answer(parts: ExampleScript, conversation: Conversation): ScriptAnswer {
  const role = roleOf(conversation);
  if (role === 'planner') {
    const divided = taskOf(conversation);
    const division = divided === undefined ? undefined : parts.divisions?.[baseTask(divided)];
    return nextPlannerTurn(division ?? parts.planner, conversation);
  }
  if (role === 'conflict') return nextConflictTurn(parts.conflicts, conversation);
  if (role === 'reconciler') {
    const tasks = parts.fixes?.(userTexts(conversation).join('\n')) ?? [];
    return { text: 'I say what mends it.', calls: [{ name: 'submit_fixes', arguments: { tasks } }] };
  }
  const task = taskOf(conversation);
  const play = task === undefined ? undefined : parts.tasks[baseTask(task)]?.(attemptOf(conversation));
  if (play !== undefined) return nextTurn(play, conversation);
  const summary = `The script has no task ${task === undefined ? 'in this conversation' : `"${task}"`}.`;
  if (conversation.tools.includes('submit_handoff')) return handoffAnswer({ status: 'blocked', summary });
  return { text: summary, calls: [] };
}

/** Files of a folder with their content, by path below it, in order. */
export function filesBelow(dir: string): [path: string, content: string][] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => [
      path
        .slice(dir.length + 1)
        .split(sep)
        .join('/'),
      readFileSync(path, 'utf8'),
    ]);
}

const EXAMPLES_DIR = fileURLToPath(new URL('..', import.meta.url));

export const exampleNames = (): string[] =>
  readdirSync(EXAMPLES_DIR, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && readdirSync(join(EXAMPLES_DIR, entry.name)).includes('SPEC.md'))
    .map((entry) => entry.name)
    .sort();

/** Loads `examples/<name>/script.ts`. Throws with the names there are. */
export async function loadExample(name: string): Promise<Example> {
  if (!exampleNames().includes(name)) {
    throw new Error(`there is no example "${name}"; there is ${exampleNames().join(', ')}`);
  }
  const module = (await import(new URL(`../${name}/script.ts`, import.meta.url).href)) as { default: Example };
  return module.default;
}
