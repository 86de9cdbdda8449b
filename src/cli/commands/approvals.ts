/** What people decide on: `approve` and `reject`. */
import { approveUpdate, rejectUpdate } from '../../shared/messages.ts';
import { type ExitCode, usageError } from '../errors.ts';
import type { SessionContext } from '../session.ts';
import { cliText } from '../text.ts';
import { send, tell } from './send.ts';

/** Without a name, what waits where that is one thing. */
export async function approveCommand(
  context: SessionContext,
  run: string,
  name: string | undefined,
  { all = false }: { all?: boolean },
): Promise<ExitCode> {
  if (all && name !== undefined) throw usageError(cliText.allOrOne);
  return send(context, run, 'approve', (session) =>
    tell(session, run, approveUpdate, { all, ...(name === undefined ? {} : { name }) }),
  );
}

export async function rejectCommand(
  context: SessionContext,
  run: string,
  name: string | undefined,
  { reason }: { reason: string },
): Promise<ExitCode> {
  if (reason.trim() === '') throw usageError(cliText.emptyReason);
  return send(context, run, 'reject', (session) =>
    tell(session, run, rejectUpdate, { reason, ...(name === undefined ? {} : { name }) }),
  );
}
