/** What can be typed after `agentswarm schedule`. */
import type { Command } from 'commander';
import type { CommonOptions } from '../dependencies.ts';
import type { ExitCode } from '../errors.ts';
import type { SessionContext } from '../session.ts';
import { helpText } from '../text.ts';
import {
  type CreateOptions,
  scheduleCreateCommand,
  scheduleDeleteCommand,
  scheduleListCommand,
  schedulePauseCommand,
  scheduleResumeCommand,
  scheduleTriggerCommand,
} from './schedule.ts';

export function addScheduleCommands(
  program: Command,
  context: (options: CommonOptions) => SessionContext,
  onExit: (code: ExitCode) => void,
): void {
  const schedule = program.command('schedule').description(helpText.schedule);
  const command = (name: string, description: string): Command =>
    schedule
      .command(name)
      .description(description)
      .option('--state-dir <dir>', helpText.stateDir)
      .option('--config <file>', helpText.config);
  command('create <repo>', helpText.scheduleCreate)
    .requiredOption('--cron <expression>', helpText.scheduleCron)
    .option('--timezone <name>', helpText.scheduleTimezone)
    .option('--branch <branch>', helpText.scheduleBranch)
    .option('--base <branch>', helpText.base)
    .option('--id <schedule>', helpText.scheduleId)
    .action(async (repo: string, options: CreateOptions) =>
      onExit(await scheduleCreateCommand(context(options), repo, options)),
    );
  command('list', helpText.scheduleList)
    .option('--json', helpText.json)
    .action(async (options: CommonOptions & { json?: boolean }) =>
      onExit(await scheduleListCommand(context(options), options)),
    );
  command('trigger <schedule>', helpText.scheduleTrigger).action(async (id: string, options: CommonOptions) =>
    onExit(await scheduleTriggerCommand(context(options), id)),
  );
  command('pause <schedule>', helpText.schedulePause)
    .option('--reason <text>', helpText.reason)
    .action(async (id: string, options: CommonOptions & { reason?: string }) =>
      onExit(await schedulePauseCommand(context(options), id, options.reason)),
    );
  command('resume <schedule>', helpText.scheduleResume).action(async (id: string, options: CommonOptions) =>
    onExit(await scheduleResumeCommand(context(options), id)),
  );
  command('delete <schedule>', helpText.scheduleDelete).action(async (id: string, options: CommonOptions) =>
    onExit(await scheduleDeleteCommand(context(options), id)),
  );
}
