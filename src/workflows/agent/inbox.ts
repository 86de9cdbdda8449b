/** What people say to an agent while it works: each message once, in order, before the next call of the model. */
import type { AgentMessage } from '../../shared/contracts/agent-run.ts';
import { LOOP_TEXT } from '../../shared/agent/text.ts';
import type { Inbox } from './loop.ts';

export class AgentInbox implements Inbox {
  private said: AgentMessage[];
  private readonly seen = new Set<string>();
  private handOff: string | undefined;

  constructor(said: readonly AgentMessage[] = []) {
    this.said = [...said];
    for (const { id } of said) this.seen.add(id);
  }

  put(message: AgentMessage): void {
    if (this.seen.has(message.id)) return;
    this.seen.add(message.id);
    this.said.push(message);
  }

  /** Takes out what an external agent was told. */
  told(ids: readonly string[]): void {
    this.said = this.said.filter(({ id }) => !ids.includes(id));
  }

  get waiting(): boolean {
    return this.said.length > 0;
  }

  take(): { texts: string[]; handOff?: string } {
    const taken = this.said;
    this.said = [];
    if (taken.some(({ handOff }) => handOff === true)) this.handOff = LOOP_TEXT.handOffNow;
    return {
      texts: taken.filter(({ text }) => text !== '').map(({ text }) => LOOP_TEXT.fromPeople(text)),
      ...(this.handOff === undefined ? {} : { handOff: this.handOff }),
    };
  }

  toJSON(): AgentMessage[] {
    return this.said;
  }
}
