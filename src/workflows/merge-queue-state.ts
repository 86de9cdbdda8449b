/**
 * What a merge queue knows and decides: what waits, what is a batch, what was answered. No await, plain JSON.
 * Invariants: 1. an id is in one place only: waiting, landing or answered. 2. Nothing leaves without an answer.
 */
import type {
  MergeAnswer,
  MergeOutcome,
  MergeQueueInput,
  MergeQueueSnapshot,
  MergeRequest,
} from '../shared/contracts/merge.ts';
import { boundedPaths } from '../shared/handoff-size.ts';
import type { Chain } from '../shared/ids.ts';

/** One push may carry so many: what a batch costs however small it is costs more than merging a hundred. */
export const MAX_BATCH = 256;
/** A batch is one message of at most 2 MiB; a character may take three bytes. */
const MAX_BATCH_CHARS = 500_000;
/** How many answers are remembered for requesters that ask again. */
const MAX_ANSWERED = 300;

type State = NonNullable<MergeQueueInput['state']>;

export class MergeQueueState {
  private waiting: MergeRequest[];
  private landing: MergeRequest[] = [];
  private answered: MergeAnswer[];
  private landed: number;
  /** Answers that are known and not sent yet: to those who asked again for something already decided. */
  private unsent: { requester: Chain; answer: MergeAnswer }[] = [];
  private readonly target: string;

  constructor(input: MergeQueueInput) {
    this.target = input.target;
    this.waiting = [...(input.state?.waiting ?? [])];
    this.answered = [...(input.state?.answered ?? [])];
    this.landed = input.state?.landed ?? 0;
  }

  /** A request, or the same one again: it is one entry, and one already decided is answered again. */
  add(entry: MergeRequest): void {
    const known = this.answered.find((answer) => answer.id === entry.id);
    if (known !== undefined) this.unsent.push({ requester: entry.requester, answer: known });
    else if (![...this.waiting, ...this.landing].some((other) => other.id === entry.id)) this.waiting.push(entry);
  }

  get hasWork(): boolean {
    return this.waiting.length > 0 || this.unsent.length > 0;
  }

  get owesAnswers(): boolean {
    return this.unsent.length > 0;
  }

  /** All that waits, by priority then age, as far as it fits into one batch; they are being landed from here on. */
  takeBatch(): MergeRequest[] {
    const byPriority = this.waiting
      .map((entry, age) => ({ entry, age }))
      .sort((a, b) => a.entry.priority - b.entry.priority || a.age - b.age)
      .map(({ entry }) => entry);
    this.landing = fitting(byPriority.slice(0, MAX_BATCH));
    const taken = new Set(this.landing.map((entry) => entry.id));
    this.waiting = this.waiting.filter((entry) => !taken.has(entry.id));
    return this.landing;
  }

  /** The outcomes of the batch that is being landed. An entry without one goes back to wait. */
  decided(outcomes: readonly MergeAnswer[]): void {
    const byId = new Map(outcomes.map((answer) => [answer.id, answer]));
    for (const entry of this.landing) {
      const answer = byId.get(entry.id);
      if (answer === undefined) {
        this.waiting.unshift(entry);
        continue;
      }
      if (answer.outcome.kind === 'landed') this.landed += 1;
      this.answered.push({ id: answer.id, outcome: shortened(answer.outcome) });
      this.unsent.push({ requester: entry.requester, answer });
    }
    this.landing = [];
    this.answered = this.answered.slice(-MAX_ANSWERED);
  }

  /** The whole batch failed for good, in one way. */
  decidedAll(outcome: MergeOutcome): void {
    this.decided(this.landing.map(({ id }) => ({ id, outcome })));
  }

  takeAnswers(): { requester: Chain; answer: MergeAnswer }[] {
    const answers = this.unsent;
    this.unsent = [];
    return answers;
  }

  toJSON(): State {
    return { waiting: [...this.landing, ...this.waiting], answered: this.answered, landed: this.landed };
  }

  snapshot(): MergeQueueSnapshot {
    return {
      target: this.target,
      waiting: this.waiting.map(({ id, subject, priority }) => ({ id, subject, priority })),
      landing: this.landing.map(({ id }) => id),
      landed: this.landed,
    };
  }
}

/** 300 of them are carried through continue-as-new; there is at least one file. */
function shortened(outcome: MergeOutcome): MergeOutcome {
  switch (outcome.kind) {
    case 'conflicted': {
      const files = boundedPaths(outcome.files, 600);
      const { kind, tip } = outcome;
      return { kind, tip, files: files.length > 0 ? files : outcome.files.slice(0, 1) };
    }
    case 'landed':
      return outcome.lost === undefined ? outcome : { ...outcome, lost: outcome.lost.slice(0, 1) };
    case 'held':
      return { ...outcome, lost: outcome.lost.slice(0, 1) };
    case 'empty':
    case 'refused':
    case 'dropped':
      return outcome;
  }
}

/** The first, and those behind it until one is too many. */
function fitting(entries: readonly MergeRequest[]): MergeRequest[] {
  let chars = 0;
  const end = entries.findIndex((entry, i) => (chars += JSON.stringify(entry).length) > MAX_BATCH_CHARS && i > 0);
  return end === -1 ? [...entries] : entries.slice(0, end);
}
