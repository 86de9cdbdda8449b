/** What `run` and `attach` share: a session whose run is followed to its end, left, or lost. */
import { createLiveView, type LiveView } from '../../dashboard/live.ts';
import { renderReport } from '../../dashboard/report.ts';
import { CliError, EXIT, type ExitCode } from '../errors.ts';
import { followRun, type RunEnd } from '../follow.ts';
import { nextCommand } from '../hint.ts';
import { listenForInterrupts } from '../interrupt.ts';
import { printLine } from '../io.ts';
import { openSession, type Session, type SessionContext } from '../session.ts';
import { cliText } from '../text.ts';

/** The run that is followed: its id and one execution of its chain. */
export type Found = { run: string; executionRunId: string };

/** Closing takes longer than this only where calls in flight are waited for. */
const TELL_CLOSING_MS = 3_000;

/** Opens a session, lets `find` start or find the run, follows it, prints the report, and closes in good order. */
export async function carryRun(
  outer: SessionContext,
  find: (session: Session) => Promise<Found>,
  { json, hint }: { json: boolean; hint: (run: string) => string },
): Promise<ExitCode> {
  const view = createLiveView(outer.io.stderr);
  const context: SessionContext = { ...outer, say: view.say };
  const interrupts = listenForInterrupts(() => undefined);
  try {
    const session = await openSession(context, (host) => interrupts.onForce(() => host.kill()));
    try {
      if (interrupts.signal.aborted) return EXIT.detached;
      const found = await find(session);
      view.say(hint(found.run));
      view.say(linkLine(session, found.run));
      const end = await followUntil(context, session, found, interrupts.signal, view);
      view.close();
      return await tell(context, session, found.run, end, json);
    } finally {
      view.close();
      await closeSaying(session, context.say);
    }
  } finally {
    interrupts.dispose();
  }
}

export const linkLine = (session: Session, run: string): string => {
  const link = session.uiLink(run);
  return link === null ? cliText.uiUnknown(session.target.namespace, run) : cliText.ui(link);
};

async function followUntil(
  { options }: SessionContext,
  session: Session,
  found: Found,
  signal: AbortSignal,
  view: LiveView,
): Promise<RunEnd> {
  const following = followRun({ client: session.client, ...found, view, signal });
  if (session.host === null) return await following;
  following.catch(() => undefined); // when the host is lost first, that is the news
  const lost = session.host.lost.catch((error: unknown): never => {
    const attach = nextCommand(options, 'attach', found.run);
    throw new CliError(cliText.hostLost(found.run, (error as Error).message, attach), { cause: error });
  });
  return await Promise.race([following, lost]);
}

async function tell(
  { io, say, options }: SessionContext,
  session: Session,
  run: string,
  end: RunEnd,
  json: boolean,
): Promise<ExitCode> {
  switch (end.kind) {
    case 'left': {
      const owned = session.host?.owned === true;
      if (owned) say(cliText.stopping);
      await session.close(false);
      const attach = nextCommand(options, 'attach', run);
      say(owned ? cliText.detachedOwn(attach) : cliText.detached(attach));
      return EXIT.detached;
    }
    case 'reported': {
      const { report } = end;
      const uiLink = session.uiLink(run);
      const links = {
        ...(uiLink === null ? {} : { uiLink }),
        ...(session.host?.owned === true ? { uiCommand: `\`${nextCommand(options, 'dev')}\`` } : {}),
      };
      const text = json ? JSON.stringify(report, null, 2) : renderReport(report, links);
      printLine(io.stdout, text);
      return report.status === 'complete' ? EXIT.complete : EXIT.failed;
    }
    case 'unreported':
      throw new CliError(cliText.ended(run, end.status, end.why));
  }
}

async function closeSaying(session: Session, say: (line: string) => void): Promise<void> {
  const timer = setTimeout(() => say(cliText.stillStopping), TELL_CLOSING_MS);
  try {
    await session.close(false);
  } finally {
    clearTimeout(timer);
  }
}
