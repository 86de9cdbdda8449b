/**
 * What an external agent is told between its own messages: by people, and before a limit. Its client does not know
 * of these, so that each request gets them anew, at the place where the first one had them: what a provider has
 * cached of the conversation stays in use.
 */
import type { Message } from '../../../shared/contracts/agent.ts';

export class Asides {
  /** `after`: so many of the client's messages stand before it. */
  private readonly told: { text: string; after: number }[] = [];
  private readonly untold: string[] = [];

  add(text: string): void {
    this.untold.push(text);
  }

  /** The client's messages with what is told; new words at their end. */
  weave(messages: readonly Message[]): Message[] {
    for (const text of this.untold.splice(0)) this.told.push({ text, after: messages.length });
    const woven: Message[] = [];
    const waiting = this.told.toSorted((a, b) => a.after - b.after);
    for (const [i, message] of messages.entries()) {
      // Results stand right behind their calls, in both protocols.
      while (
        waiting[0] !== undefined &&
        waiting[0].after <= i &&
        message.role !== 'tool' &&
        message.role !== 'system'
      ) {
        woven.push(said(waiting.shift()));
      }
      woven.push(message);
    }
    // Another conversation of the same agent may be shorter.
    return [...woven, ...waiting.map(said)];
  }
}

const said = (aside: { text: string } | undefined): Message => ({ role: 'user', text: aside?.text ?? '' });
