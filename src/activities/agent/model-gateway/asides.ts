/**
 * What an external agent is told between its own messages: by people, and before a limit. Its client does not know
 * of these, so that each request gets them anew, at the place where the first one had them: what a provider has
 * cached of the conversation stays in use.
 */
export class Asides {
  /** `after`: so many of the client's messages stand before it. */
  private readonly placed: { text: string; after: number }[] = [];
  private readonly unplaced: string[] = [];

  add(text: string): void {
    this.unplaced.push(text);
  }

  /**
   * The client's messages, in either protocol, with what is told; new words at their end.
   * `takesBefore`: whether something may stand before a message.
   */
  weave(messages: readonly unknown[], takesBefore: (message: unknown) => boolean): unknown[] {
    for (const text of this.unplaced.splice(0)) this.placed.push({ text, after: messages.length });
    const woven: unknown[] = [];
    const waiting = this.placed.toSorted((a, b) => a.after - b.after);
    for (const [i, message] of messages.entries()) {
      while (waiting[0] !== undefined && waiting[0].after <= i && takesBefore(message)) {
        woven.push(messageOf(waiting.shift()));
      }
      woven.push(message);
    }
    // Another conversation of the same agent may be shorter.
    return [...woven, ...waiting.map(messageOf)];
  }
}

/** Both protocols have this form. */
const messageOf = (aside: { text: string } | undefined) => ({ role: 'user', content: aside?.text ?? '' });
