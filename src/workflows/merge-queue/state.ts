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
} from '../../shared/contracts/merge.ts';
import type { Freeze } from '../../shared/contracts/gate.ts';
import { type Chain, sameChain } from '../../shared/base/ids.ts';
import { boundedOutcome } from '../../shared/merge-queue/outcome-size.ts';

/** One push may carry so many: what a batch costs however small it is costs more than merging a hundred. */
export const MAX_BATCH = 512;
/** A batch is one message of at most 2 MiB; a character may take three bytes. */
const MAX_BATCH_CHARS = 500_000;
/** How many answers are remembered for requesters that ask again. */
const MAX_ANSWERED = 300;
/** Of each of them: they are carried through continue-as-new. */
const MAX_ANSWERED_BYTES = 1_200;

type State = NonNullable<MergeQueueInput['state']>;

export class MergeQueueState {
  private waiting: MergeRequest[];
  private landing: MergeRequest[] = [];
  private answered: MergeAnswer[];
  private landed: number;
  /** Answers that are known and not sent yet: to those who asked again for something already decided. */
  private unsent: { requester: Chain; answer: MergeAnswer }[] = [];
  private freezes: Freeze[];
  private readonly target: string;

  constructor(input: MergeQueueInput) {
    this.target = input.target;
    this.waiting = [...(input.state?.waiting ?? [])];
    this.answered = [...(input.state?.answered ?? [])];
    this.landed = input.state?.landed ?? 0;
    this.freezes = [...(input.state?.freezes ?? [])];
  }

  /**
   * A request, or the same one again: it is one entry, and one already decided is answered again. While it waits, the
   * commit that comes last counts: the ref has that one.
   */
  add(entry: MergeRequest): void {
    const known = this.answered.find((answer) => answer.id === entry.id);
    if (known !== undefined) this.unsent.push({ requester: entry.requester, answer: known });
    else if (![...this.waiting, ...this.landing].some((other) => other.id === entry.id)) this.waiting.push(entry);
    else this.waiting = this.waiting.map((other) => (other.id === entry.id ? entry : other));
  }

  /** Oldest first. */
  get requests(): readonly MergeRequest[] {
    return this.waiting;
  }

  get frozen(): readonly Freeze[] {
    return this.freezes;
  }

  /** Of each who freezes, the newest reason. */
  freeze(freeze: Freeze): void {
    this.freezes = [...this.freezes.filter(({ by }) => by !== freeze.by), freeze];
  }

  /** @param by whose freeze ends; a person ends all. @param chain only if this run made it. */
  thaw(by: Freeze['by'], chain?: Chain): void {
    const ofAnother = (made?: Chain): boolean => chain !== undefined && made !== undefined && !sameChain(made, chain);
    this.freezes = this.freezes.filter((freeze) => by !== 'person' && (freeze.by !== by || ofAnother(freeze.chain)));
  }

  /** A person stops everything; a red branch stops everything but fixes. */
  mayLand({ fix }: { fix?: boolean | undefined }): boolean {
    return this.freezes.every(({ by }) => by !== 'person' && fix === true);
  }

  get owesAnswers(): boolean {
    return this.unsent.length > 0;
  }

  /** All that waits and may land, by priority then age, as far as it fits into one batch; they are being landed from here on. */
  takeBatch(): MergeRequest[] {
    const byPriority = this.waiting
      .filter((entry) => this.mayLand(entry))
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
      if (answer === undefined) this.waiting.unshift(entry);
      else this.answer(entry, answer);
    }
    this.landing = [];
  }

  /** The outcomes of requests that wait: what a gate has found out or landed. */
  settle(answers: readonly MergeAnswer[]): void {
    for (const answer of answers) {
      const entry = this.waiting.find(({ id }) => id === answer.id);
      if (entry !== undefined) this.answer(entry, answer);
    }
    const settled = new Set(answers.map(({ id }) => id));
    this.waiting = this.waiting.filter(({ id }) => !settled.has(id));
  }

  private answer(entry: MergeRequest, answer: MergeAnswer): void {
    if (answer.outcome.kind === 'landed') this.landed += 1;
    this.answered.push({ id: answer.id, outcome: boundedOutcome(answer.outcome, MAX_ANSWERED_BYTES) });
    this.answered = this.answered.slice(-MAX_ANSWERED);
    this.unsent.push({ requester: entry.requester, answer });
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
    const { answered, landed, freezes } = this;
    return {
      waiting: [...this.landing, ...this.waiting],
      answered,
      landed,
      ...(freezes.length > 0 ? { freezes } : {}),
    };
  }

  snapshot(): MergeQueueSnapshot {
    return {
      target: this.target,
      waiting: this.waiting.map(({ id, subject, priority }) => ({ id, subject, priority })),
      landing: this.landing.map(({ id }) => id),
      landed: this.landed,
      frozen: this.freezes,
      checking: [],
    };
  }
}

/** The first, and those behind it until one is too many. */
function fitting(entries: readonly MergeRequest[]): MergeRequest[] {
  let chars = 0;
  const end = entries.findIndex((entry, i) => (chars += JSON.stringify(entry).length) > MAX_BATCH_CHARS && i > 0);
  return end === -1 ? [...entries] : entries.slice(0, end);
}
