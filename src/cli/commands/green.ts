/** `agentswarm green`: which commit of a repository's branch is known to pass its checks. */
import type { CommonOptions } from '../dependencies.ts';
import { CliError, EXIT, type ExitCode } from '../errors.ts';
import { repositoryHere } from '../input.ts';
import { printLine } from '../io.ts';
import type { SessionContext } from '../session.ts';
import { cliText } from '../text.ts';

export type GreenOptions = CommonOptions & { branch?: string; json?: boolean };

/** Ends with 1 where no commit is known to be green. With one branch its commit is the only output, for scripts. */
export async function greenCommand(
  { io, dependencies }: SessionContext,
  repo: string,
  options: GreenOptions,
): Promise<ExitCode> {
  const { location } = await repositoryHere(repo, io);
  const branches = await dependencies.readGreen({ location, branch: options.branch, env: io.env });
  const known = branches.filter(({ green }) => green !== null);
  if (options.json === true) printLine(io.stdout, JSON.stringify(branches, null, 2));
  else if (options.branch === undefined) for (const each of branches) printLine(io.stdout, cliText.green(each));
  else for (const { green } of known) printLine(io.stdout, green ?? '');
  if (known.length > 0) return EXIT.complete;
  throw new CliError(cliText.notGreen(repo, options.branch));
}
