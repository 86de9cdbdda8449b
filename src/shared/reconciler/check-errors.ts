/**
 * The commands that decide whether a task is complete: those of its acceptance criteria, and the repository's quick
 * checks. They run as `bash` calls in the agent's sandbox. What could not be run is not a pass. Pure.
 */
import type { Check } from '../contracts/check-settings.ts';
import type { ToolCall, ToolResult } from '../contracts/agent.ts';
import type { CheckResult, TaskSpec } from '../contracts/task.ts';

/** How often failing checks go back to an agent that says it is done. */
export const MAX_CHECK_ROUNDS = 2;
/** Of one acceptance command; the repository's checks say theirs. */
const ACCEPTANCE_MINUTES = 10;
/** Of the calls of one activity together: its deadline is 2 hours. */
const MINUTES_AT_ONCE = 90;
const MAX_NAME_CHARS = 300;
/** Of each failing check: to the agent, and in the handoff. The newest output is at the end. */
const TOLD_CHARS = 6_000;
const KEPT_CHARS = 600;

export type Command = { name: string; command: string; minutes: number };

/** What must exit 0 before a task counts as complete. The same command is run once. */
export function commandsOf(task: Pick<TaskSpec, 'acceptance'>, checks: readonly Check[]): Command[] {
  const commands: Command[] = [];
  const add = (name: string, command: string, minutes: number): void => {
    if (commands.some((other) => other.command === command)) return;
    commands.push({ name: name.slice(0, MAX_NAME_CHARS), command, minutes });
  };
  for (const { text, command } of task.acceptance) {
    if (command !== undefined) add(text, command, ACCEPTANCE_MINUTES);
  }
  for (const { name, command, quick, timeoutMinutes } of checks) if (quick) add(name, command, timeoutMinutes);
  return commands;
}

/** Groups whose timeouts together fit into one activity; each command takes at most 30 minutes, as `bash` has it. */
export function batches(commands: readonly Command[]): Command[][] {
  const all: Command[][] = [];
  let minutes = 0;
  for (const command of commands) {
    const last = all.at(-1);
    if (last === undefined || minutes + command.minutes > MINUTES_AT_ONCE) {
      all.push([command]);
      minutes = command.minutes;
    } else {
      last.push(command);
      minutes += command.minutes;
    }
  }
  return all;
}

/** @param prefix makes the ids: another one for each time that they are to run anew. */
export const callsOf = (commands: readonly Command[], prefix: string): ToolCall[] =>
  commands.map(({ command, minutes }, i) => ({
    id: `${prefix}-${i + 1}`,
    name: 'bash',
    arguments: JSON.stringify({ command, timeoutSeconds: Math.round(minutes * 60) }),
  }));

/** What one command showed. `output` is whole here; `kept()` is what goes into a handoff. */
export function resultOf({ name, command }: Command, result: ToolResult | undefined): CheckResult {
  if (result?.status === 'ok') return { name, command, status: 'passed' };
  const output = result?.status === 'error' ? result.output : 'It could not be run: the sandbox was interrupted.';
  return { name, command, status: 'failed', output };
}

export const isFailed = ({ status }: CheckResult): boolean => status === 'failed';

/** For the agent, as the answer to its closing call. */
export function failuresText(results: readonly CheckResult[], left: number): string {
  const failed = results.filter(isFailed);
  const each = failed.map(
    ({ name, command = '', output = '' }) => `## ${name}\n$ ${command}\n${tail(output, TOLD_CHARS)}`,
  );
  const rest =
    left > 0
      ? `${left === 1 ? 'One more time' : `${left} more times`} failing checks come back to you; after that the work counts as partial.`
      : 'Failing checks do not come back to you again: the work counts as partial then.';
  return [
    `Not accepted as complete: ${failed.length} of ${results.length} checks fail in your sandbox.`,
    ...each,
    `Correct the work, not the check, and hand off again. If a check cannot pass, hand off as partial and say why. ${rest}`,
  ].join('\n\n');
}

/** What is kept of the results: criteria without a command are told as unchecked. */
export function retained(task: Pick<TaskSpec, 'acceptance'>, results: readonly CheckResult[]): CheckResult[] {
  const unchecked = task.acceptance
    .filter(({ command }) => command === undefined)
    .map(({ text }) => ({ name: text.slice(0, MAX_NAME_CHARS), status: 'unchecked' as const }));
  return [
    ...results.map((result) => {
      const { output, ...rest } = result;
      return output === undefined ? rest : { ...rest, output: tail(output, KEPT_CHARS) };
    }),
    ...unchecked,
  ];
}

/** For the concerns of a handoff that said more than its checks show. */
export const concernOf = ({ name, command = '', output = '' }: CheckResult): string =>
  `The check "${name}" fails (${command}): ${tail(output, KEPT_CHARS)}`.slice(0, 2_000);

const tail = (text: string, chars: number): string => (text.length <= chars ? text : `…${text.slice(-chars)}`);
