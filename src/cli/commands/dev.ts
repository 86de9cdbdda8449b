/** `agentswarm dev`: the embedded server, its Web UI and a worker, until stopped. */
import { once } from 'node:events';
import { externalTarget } from '../../host/connection.ts';
import { openOwnHost } from '../embedded/host.ts';
import { EXIT, type ExitCode, usageError } from '../errors.ts';
import { listRuns } from '../find-run.ts';
import { listenForInterrupts } from '../interrupt.ts';
import { printLine } from '../io.ts';
import { connect, hostDependencies, load, ownTarget, realStateDir, type SessionContext } from '../session.ts';
import { cliText } from '../text.ts';

export async function devCommand(context: SessionContext): Promise<ExitCode> {
  const { io } = context;
  const found = await load(context);
  const external = await externalTarget({ config: found.config, env: io.env });
  if (external !== null) throw usageError(cliText.devWithAddress(external.address));
  const loaded = realStateDir(found);
  const interrupts = listenForInterrupts(() => printLine(io.stderr, cliText.stopping));
  try {
    const host = await openOwnHost(loaded.stateDir, hostDependencies(context, loaded, { worker: true }));
    interrupts.onForce(() => host.kill());
    try {
      const session = await connect(context, loaded, await ownTarget(loaded), null);
      const open = await listRuns(session, { onlyOpen: true });
      await session.close(false);
      for (const { run } of open) printLine(io.stderr, cliText.devOpen(run));
      printLine(io.stderr, cliText.devAddress(host.state.address));
      printLine(io.stderr, cliText.ui(host.state.uiUrl));
      printLine(io.stderr, cliText.devStart);
      printLine(io.stderr, cliText.devReady);
      if (!interrupts.signal.aborted) await Promise.race([once(interrupts.signal, 'abort'), host.lost]);
      return EXIT.complete;
    } finally {
      await host.stop(false);
    }
  } finally {
    interrupts.dispose();
  }
}
