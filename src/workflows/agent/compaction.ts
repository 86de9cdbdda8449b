/** A transcript that has become too long is replaced by the model's own summary, behind the brief. */
import type { Message } from '../../shared/contracts/agent.ts';
import { FailureType, failureTypeOf } from '../../shared/base/failures.ts';
import { LOOP_TEXT } from '../../shared/agent/text.ts';
import { shortened } from '../../shared/agent/shorten.ts';
import { ROLE_TOOLS } from '../../shared/agent/tools.ts';
import { type Asker, think } from './think.ts';

/** Calls for a summary, those that were too long or said nothing included. */
const MAX_TRIES = 6;

/**
 * The messages to go on with: system prompt, brief, summary. What does not fit into the model's context is cut harder
 * with each try; where no summary can be had at all the brief stays, and the agent is told to look at its work tree.
 */
export async function compacted(asker: Asker, kind: { tooLong: boolean }): Promise<Message[]> {
  const { conversation: talk } = asker;
  const brief = talk.messages.slice(0, talk.messages.findIndex(({ role }) => role === 'user') + 1);
  const whole = talk.messages;
  let cut = kind.tooLong ? 1 : 0;
  let summary = '';
  /** No tools are offered any more: it answered with calls, or not at all. */
  let silent = false;
  for (let tries = 0; tries < MAX_TRIES && summary === ''; tries++) {
    if (cut > 0) talk.number += 1;
    talk.messages = [
      ...(cut === 0 ? whole : shortened(whole, brief.length, cut)),
      { role: 'user', text: LOOP_TEXT.compact },
    ];
    try {
      // First with the tools as ever, which leaves the provider's cache of a long conversation in use.
      const { text, toolCalls } = (await think(asker, silent ? [] : ROLE_TOOLS[asker.role].tools)).message;
      if (toolCalls.length === 0 || silent) summary = text.trim();
      if (summary === '' && silent) break;
      silent = true;
    } catch (error) {
      if (failureTypeOf(error) !== FailureType.ContextTooLong) throw error;
      cut += 1;
    }
  }
  return [...brief, { role: 'user', text: LOOP_TEXT.resumed(summary === '' ? LOOP_TEXT.noSummary : summary) }];
}
