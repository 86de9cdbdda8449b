/**
 * What an external agent's calls came to, whatever the agent says of itself: whether the last one was answered, and
 * the words of the newest answer. Calls that offer tools are its work; where it makes such, others are asides of it,
 * titles and summaries, and do not count. Pure.
 */
export class LastCall {
  private readonly working = new Track();
  private readonly plain = new Track();

  /** `offersTools` undefined: the request could not be read. */
  begin(offersTools: boolean | undefined): Pick<Track, 'answered' | 'failed'> {
    const track = offersTools === undefined ? this.deciding : offersTools ? this.working : this.plain;
    track.begin();
    return track;
  }

  /** Answered calls. */
  get answered(): number {
    return this.working.answers + this.plain.answers;
  }

  /** The newest answer that says something. */
  get newestText(): string | undefined {
    return this.deciding.newestText ?? this.plain.newestText;
  }

  /** Why the last call has no answer, as a sentence; absent: it has one. */
  get unanswered(): string | undefined {
    return this.deciding.unanswered;
  }

  private get deciding(): Track {
    return this.working.begun > 0 ? this.working : this.plain;
  }
}

const NOT_WAITED_FOR = 'The agent did not wait for the answer.';

class Track {
  begun = 0;
  answers = 0;
  newestText: string | undefined;
  private flying = 0;
  private fault: string | undefined;
  /** The newest answer called no tool: the agent may be done with it. */
  private final = false;

  begin(): void {
    this.begun += 1;
    this.flying += 1;
  }

  answered(text: string, toolCalls: number): void {
    this.flying -= 1;
    this.answers += 1;
    this.fault = undefined;
    this.final = toolCalls === 0;
    if (text.trim() !== '') this.newestText = text.trim();
  }

  /** Without a reason: its client has gone. A call that is cut off when the agent ends, after its last words, is none that it needs. */
  failed(why: string | undefined): void {
    this.flying -= 1;
    if (why === undefined && this.final) return;
    this.fault = why ?? NOT_WAITED_FOR;
    this.final = false;
  }

  get unanswered(): string | undefined {
    return this.fault ?? (this.flying > 0 && !this.final ? NOT_WAITED_FOR : undefined);
  }
}
