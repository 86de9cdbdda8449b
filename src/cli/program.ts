/** The command line: what can be typed, and what it leads to. */
import { Command, CommanderError } from 'commander';
import { attachCommand, runCommand, type RunOptions } from './commands/run.ts';
import { devCommand } from './commands/dev.ts';
import { doctorCommand } from './commands/doctor.ts';
import { endpointsCommand } from './commands/endpoints.ts';
import { type GreenOptions, greenCommand } from './commands/green.ts';
import { addScheduleCommands } from './commands/schedule-program.ts';
import { statusCommand } from './commands/status.ts';
import { workerCommand } from './commands/worker.ts';
import type { CommonOptions, Dependencies } from './dependencies.ts';
import { describeCliFailure, EXIT, type ExitCode } from './errors.ts';
import { positiveInteger } from './input.ts';
import { type Io, printLine } from './io.ts';
import { addPeopleCommands } from './people-program.ts';
import type { SessionContext } from './session.ts';
import { cliText, helpText } from './text.ts';

/**
 * Runs one command line (without node and script) and resolves with the exit code; never rejects. Results go
 * to `io.stdout`, all else to `io.stderr`.
 */
export async function runCli(argv: readonly string[], io: Io, dependencies: Dependencies): Promise<number> {
  let exitCode: number = EXIT.complete;
  const program = createProgram(io, dependencies, (code) => (exitCode = code));
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    // commander has said it already; asking for help is no error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.complete : EXIT.usage;
    const failure = describeCliFailure(error, io.env.AGENTSWARM_DEBUG === '1');
    printLine(io.stderr, cliText.error(failure.message));
    return failure.exitCode;
  }
}

// eslint-disable-next-line max-lines-per-function -- one list: the subcommands that start and show runs
function createProgram(io: Io, dependencies: Dependencies, onExit: (code: ExitCode) => void): Command {
  const program = new Command('agentswarm')
    .description(helpText.program)
    .version(dependencies.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
    })
    .showHelpAfterError('(agentswarm --help)')
    .addHelpText('after', helpText.after);

  const command = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .option('--state-dir <dir>', helpText.stateDir)
      .option('--config <file>', helpText.config);
  const context = (options: CommonOptions): SessionContext => ({
    io,
    dependencies,
    options,
    say: (line) => printLine(io.stderr, line),
  });

  command('run <repo>', helpText.run)
    .requiredOption('--spec <spec>', helpText.spec)
    .option('--base <branch>', helpText.base)
    .option('--branch <branch>', helpText.branch)
    .option('--max-workers <n>', helpText.maxWorkers, positiveInteger('--max-workers'))
    .option('--deliver <how>', helpText.deliver)
    .option('--approvals <kind...>', helpText.approvals)
    .option('--id <run>', helpText.id)
    .option('--detach', helpText.detach)
    .option('--json', helpText.json)
    .action(async (repo: string, options: Omit<RunOptions, 'repo'>) =>
      onExit(await runCommand(context(options), { ...options, repo })),
    );
  command('attach <run>', helpText.attach)
    .option('--json', helpText.json)
    .action(async (run: string, options: CommonOptions & { json?: boolean }) =>
      onExit(await attachCommand(context(options), run, options)),
    );
  command('status [run]', helpText.status)
    .option('--json', helpText.json)
    .action(async (run: string | undefined, options: CommonOptions & { json?: boolean }) =>
      onExit(await statusCommand(context(options), run, options)),
    );
  command('green <repo>', helpText.green)
    .option('--branch <branch>', helpText.greenBranch)
    .option('--json', helpText.json)
    .action(async (repo: string, options: GreenOptions) => onExit(await greenCommand(context(options), repo, options)));
  addScheduleCommands(program, context, onExit);
  command('endpoints', helpText.endpoints)
    .option('--json', helpText.json)
    .action(async (options: CommonOptions & { json?: boolean }) =>
      onExit(await endpointsCommand(context(options), options)),
    );
  command('doctor', helpText.doctor)
    .argument('[repository]', helpText.doctorRepository)
    .option('--json', helpText.json)
    .action(async (repository: string | undefined, options: CommonOptions & { json?: boolean }) =>
      onExit(await doctorCommand(context(options), repository, options)),
    );
  command('dev', helpText.dev).action(async (options: CommonOptions) => onExit(await devCommand(context(options))));
  command('worker', helpText.worker).action(async (options: CommonOptions) =>
    onExit(await workerCommand(context(options), options)),
  );
  addPeopleCommands({ command, context, onExit });
  return program;
}
