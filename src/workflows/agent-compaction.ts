/** A transcript that has become too long is replaced by the model's own summary, behind the brief. */
import type { Message } from '../shared/contracts/agent.ts';
import { FailureType, failureTypeOf } from '../shared/failures.ts';
import { LOOP_TEXT } from '../shared/loop-text.ts';
import { shortened } from '../shared/shorten.ts';
import { type Asker, think } from './agent-loop.ts';

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
  for (let tries = 0; tries < MAX_TRIES && summary === ''; tries++) {
    if (cut > 0) talk.number += 1;
    talk.messages = [
      ...(cut === 0 ? whole : shortened(whole, brief.length, cut)),
      { role: 'user', text: LOOP_TEXT.compact },
    ];
    try {
      summary = (await think(asker, [])).message.text.trim();
      if (summary === '' && tries > 0) break;
    } catch (error) {
      if (failureTypeOf(error) !== FailureType.ContextTooLong) throw error;
      cut += 1;
    }
  }
  return [...brief, { role: 'user', text: LOOP_TEXT.resumed(summary === '' ? LOOP_TEXT.noSummary : summary) }];
}
