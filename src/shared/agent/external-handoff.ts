/** What a program's end says of its task. Pure. */
import type { AgentHandoff } from '../contracts/agent.ts';
import type { CommandResult } from '../contracts/agent-command.ts';
import { LOOP_TEXT } from './text.ts';

const SUMMARY_CHARS = 4_000;
/** Of its terminal, where it failed. */
const REASON_CHARS = 1_000;
/** As AgentHandoff has them. */
const MAX_CONCERNS = 50;
const MAX_CONCERN_CHARS = 4_000;

/**
 * An external agent says only how it ended: what it did is measured, and judged by the checks. What its models answered
 * is believed rather than its exit code, and their words rather than its terminal.
 */
export function externalHandoff({ exitCode, output, metrics, reached, ...seen }: CommandResult): AgentHandoff {
  const { answered = metrics.turns, said = output.slice(-SUMMARY_CHARS), unanswered, notes = [] } = seen;
  const summary = said.slice(0, SUMMARY_CHARS).trim() || LOOP_TEXT.saidNothing;
  const ended = (status: AgentHandoff['status'], ...concerns: string[]): AgentHandoff => ({
    status,
    summary,
    concerns: [...concerns, ...notes].slice(0, MAX_CONCERNS).map((concern) => concern.slice(0, MAX_CONCERN_CHARS)),
    suggestions: [],
  });
  if (reached !== undefined) return ended('partial', reached);
  if (exitCode !== 0) return ended('failed', LOOP_TEXT.externalFailed(exitCode, output.slice(-REASON_CHARS).trim()));
  // Some agents end well although no model answered them, at all or to the end.
  if (answered === 0) return ended('failed', LOOP_TEXT.askedNothing);
  if (unanswered !== undefined) return ended('partial', LOOP_TEXT.lastCallUnanswered(unanswered));
  return ended('complete');
}
