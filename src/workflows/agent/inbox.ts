/** What people say to an agent while it works: each message once, in order, before the next call of the model. */
import type { AgentMessage } from '../../shared/contracts/agent-run.ts';
import { LOOP_TEXT } from '../../shared/agent/text.ts';
import type { Inbox } from './loop.ts';

export class AgentInbox implements Inbox {
  private messages: AgentMessage[];
  private readonly seen = new Set<string>();
  private handOff: string | undefined;

  constructor(messages: readonly AgentMessage[] = []) {
    this.messages = [...messages];
    for (const { id } of messages) this.seen.add(id);
  }

  put(message: AgentMessage): void {
    if (this.seen.has(message.id)) return;
    this.seen.add(message.id);
    this.messages.push(message);
  }

  /** Takes out what an external agent was told. */
  delivered(ids: readonly string[]): void {
    this.messages = this.messages.filter(({ id }) => !ids.includes(id));
  }

  get waiting(): boolean {
    return this.messages.length > 0;
  }

  take(): { texts: string[]; handOff?: string } {
    const taken = this.messages;
    this.messages = [];
    if (taken.some(({ handOff }) => handOff === true)) this.handOff = LOOP_TEXT.handOffNow;
    return {
      texts: taken.filter(({ text }) => text !== '').map(({ text }) => LOOP_TEXT.fromPeople(text)),
      ...(this.handOff === undefined ? {} : { handOff: this.handOff }),
    };
  }

  toJSON(): AgentMessage[] {
    return this.messages;
  }
}
