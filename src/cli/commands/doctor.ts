/** `agentswarm doctor`: what this machine enforces, and what a run would be refused for. */
import type { Finding } from '../../doctor/finding.ts';
import type { CommonOptions } from '../dependencies.ts';
import { EXIT, type ExitCode } from '../errors.ts';
import { printLine } from '../io.ts';
import { load, type SessionContext } from '../session.ts';
import { doctorText } from '../text.ts';

/** Exits with 1 when a run would be refused here. */
export async function doctorCommand(
  context: SessionContext,
  options: CommonOptions & { json?: boolean },
): Promise<ExitCode> {
  const { io, dependencies } = context;
  const loaded = await load(context);
  const findings = await dependencies.examine({ loaded, env: io.env });
  const ready = findings.every(({ blocks }) => blocks !== true);
  if (options.json === true) printLine(io.stdout, JSON.stringify({ ready, findings }, null, 2));
  else for (const line of findingLines(findings, ready)) printLine(io.stdout, line);
  return ready ? EXIT.complete : EXIT.failed;
}

function findingLines(findings: readonly Finding[], ready: boolean): string[] {
  const width = Math.max(...findings.map(({ name }) => name.length));
  const rows = findings.flatMap(({ name, state, found, remedy, blocks }) => [
    `${doctorText.state(state, blocks === true).padEnd(8)} ${name.padEnd(width)}  ${found}`,
    ...(remedy === undefined ? [] : [`${' '.repeat(9 + width)}  ${doctorText.remedy(remedy)}`]),
  ]);
  return [
    ...rows,
    '',
    ready
      ? doctorText.ready
      : doctorText.refused(findings.filter(({ blocks }) => blocks === true).map(({ name }) => name)),
  ];
}
