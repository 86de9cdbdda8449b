/** `agentswarm endpoints`: how the LLM endpoints stand, as the workers of the state folder see them. */
import { endpointLines } from '../../dashboard/endpoints.ts';
import type { CommonOptions } from '../dependencies.ts';
import { CliError, EXIT, type ExitCode } from '../errors.ts';
import { printLine } from '../io.ts';
import { load, type SessionContext } from '../session.ts';
import { cliText } from '../text.ts';
import { readWorkerEndpoints } from '../worker-endpoints.ts';

/** Asks neither the server nor an endpoint: it works in the outage that a person wants to look at. */
export async function endpointsCommand(
  context: SessionContext,
  options: CommonOptions & { json?: boolean },
): Promise<ExitCode> {
  const { stateDir } = await load(context);
  const workers = readWorkerEndpoints(stateDir);
  if (options.json === true) printLine(context.io.stdout, JSON.stringify(workers, null, 2));
  if (workers.length === 0) throw new CliError(cliText.noWorkerEndpoints(stateDir));
  if (options.json === true) return EXIT.complete;
  for (const line of workers.flatMap((worker) => endpointLines(worker, Date.now()))) {
    printLine(context.io.stdout, line);
  }
  return EXIT.complete;
}
