/** The commands by which people steer runs that are under way. */
import type { Command } from 'commander';
import { approveCommand, rejectCommand } from './commands/approvals.ts';
import {
  abortCommand,
  cancelCommand,
  type CancelOptions,
  finishCommand,
  limitsCommand,
  type LimitsOptions,
  pauseCommand,
  resumeCommand,
  steerCommand,
} from './commands/control.ts';
import { freezeCommand, type FreezeOptions, thawCommand } from './commands/freeze.ts';
import { addCommand, type AddOptions, releaseCommand, retryCommand } from './commands/tasks.ts';
import type { CommonOptions } from './dependencies.ts';
import type { ExitCode } from './errors.ts';
import { positiveInteger, positiveNumber } from './input.ts';
import type { SessionContext } from './session.ts';
import { helpText } from './text.ts';

/** What the commands are added to, and what they call. */
type PeopleProgram = {
  /** Makes a command with the options that all commands have. */
  command: (name: string, description: string) => Command;
  context: (options: CommonOptions) => SessionContext;
  onExit: (code: ExitCode) => void;
};

/** Adds them in the order in which `--help` lists them. */
export function addPeopleCommands(program: PeopleProgram): void {
  addTaskCommands(program);
  addApprovalCommands(program);
  addPaceCommands(program);
  addFreezeCommands(program);
  addEndCommands(program);
}

/** Commands about tasks: to steer their agents, to add one, to try one again, to release held work. */
function addTaskCommands({ command, context, onExit }: PeopleProgram): void {
  command('steer <run> <text>', helpText.steer)
    .option('--task <path>', helpText.task)
    .action(async (run: string, text: string, options: CommonOptions & { task?: string }) =>
      onExit(await steerCommand(context(options), run, text, options.task)),
    );
  command('add <run> <task>', helpText.add)
    .option('--id <id>', helpText.addId)
    .option('--scope <path...>', helpText.addScope)
    .option('--after <task...>', helpText.addAfter)
    .option('--check <command...>', helpText.addCheck)
    .option('--priority <n>', helpText.addPriority, positiveInteger('--priority'))
    .option('--task <path>', helpText.division)
    .action(async (run: string, description: string, options: CommonOptions & AddOptions) =>
      onExit(await addCommand(context(options), run, description, options)),
    );
  command('retry <run> <task>', helpText.retry)
    .option('--tell <text>', helpText.retryTell)
    .action(async (run: string, task: string, options: CommonOptions & { tell?: string }) =>
      onExit(await retryCommand(context(options), run, task, options.tell)),
    );
  command('release <run> <task>', helpText.release)
    .option('--reason <text>', helpText.reason)
    .action(async (run: string, task: string, options: CommonOptions & { reason?: string }) =>
      onExit(await releaseCommand(context(options), run, task, options.reason)),
    );
}

/** Commands that answer a run which waits for a person. */
function addApprovalCommands({ command, context, onExit }: PeopleProgram): void {
  command('approve <run> [name]', helpText.approve)
    .option('--all', helpText.approveAll)
    .action(async (run: string, name: string | undefined, options: CommonOptions & { all?: boolean }) =>
      onExit(await approveCommand(context(options), run, name, options)),
    );
  command('reject <run> [name]', helpText.reject)
    .requiredOption('--reason <text>', helpText.rejectReason)
    .action(async (run: string, name: string | undefined, options: CommonOptions & { reason: string }) =>
      onExit(await rejectCommand(context(options), run, name, options)),
    );
}

/** Commands that change how a run goes on. */
function addPaceCommands({ command, context, onExit }: PeopleProgram): void {
  command('limits <run>', helpText.limits)
    .option('--max-workers <n>', helpText.maxWorkers, positiveInteger('--max-workers'))
    .option('--max-attempts <n>', helpText.maxAttempts, positiveInteger('--max-attempts'))
    .option('--usd <amount>', helpText.limitUsd, positiveNumber('--usd'))
    .option('--tokens <n>', helpText.limitTokens, positiveNumber('--tokens'))
    .option('--task <path>', helpText.division)
    .action(async (run: string, options: CommonOptions & LimitsOptions) =>
      onExit(await limitsCommand(context(options), run, options)),
    );
  command('pause <run>', helpText.pause)
    .option('--reason <text>', helpText.reason)
    .action(async (run: string, options: CommonOptions & { reason?: string }) =>
      onExit(await pauseCommand(context(options), run, options.reason)),
    );
  command('resume <run>', helpText.resume).action(async (run: string, options: CommonOptions) =>
    onExit(await resumeCommand(context(options), run)),
  );
  command('finish <run>', helpText.finish).action(async (run: string, options: CommonOptions) =>
    onExit(await finishCommand(context(options), run)),
  );
}

/** Commands about the merge queue of a branch. */
function addFreezeCommands({ command, context, onExit }: PeopleProgram): void {
  command('freeze <repo>', helpText.freeze)
    .requiredOption('--branch <branch>', helpText.queueBranch)
    .requiredOption('--reason <text>', helpText.reason)
    .action(async (repo: string, options: FreezeOptions) =>
      onExit(await freezeCommand(context(options), repo, options)),
    );
  command('thaw <repo>', helpText.thaw)
    .requiredOption('--branch <branch>', helpText.queueBranch)
    .requiredOption('--reason <text>', helpText.reason)
    .action(async (repo: string, options: FreezeOptions) => onExit(await thawCommand(context(options), repo, options)));
}

/** Commands that end a run or a task before it is done. */
function addEndCommands({ command, context, onExit }: PeopleProgram): void {
  command('cancel <run>', helpText.cancel)
    .option('--task <path>', helpText.task)
    .option('--reason <text>', helpText.reason)
    .option('--grace <minutes>', helpText.grace, positiveNumber('--grace'))
    .action(async (run: string, options: CommonOptions & CancelOptions) =>
      onExit(await cancelCommand(context(options), run, options)),
    );
  command('abort <run>', helpText.abort)
    .option('--task <path>', helpText.task)
    .option('--reason <text>', helpText.reason)
    .action(async (run: string, options: CommonOptions & CancelOptions) =>
      onExit(await abortCommand(context(options), run, options)),
    );
}
