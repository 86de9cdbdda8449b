/** Whether a planner begins anything more, and why not. No await; plain JSON. */

/** `person`: what is under way goes on to its end. `cancel`: it hands off what there is. */
export type ClosedBy = 'budget' | 'planning' | 'person' | 'cancel';
/** `until`: how long what is under way may go on, in ms since the epoch. */
export type Closing = { by: ClosedBy; reason: string; until?: number };
export type Paused = { since: number; reason: string };

export type CarriedStatus = {
  paused?: Paused;
  /** Set when nothing more is begun, with why; what is under way ends. */
  closing?: Closing;
  /** Set when the remote refuses pushes: nothing more is started, and the run ends with this reason. */
  refused?: string;
  /** How many refusals in a row may have been for one change each: hooks need not say what they look at. */
  doubtful?: number;
};

export class RunStatus {
  private readonly carried: CarriedStatus;
  private cutOff: string | undefined;

  constructor({ paused, closing, refused, doubtful }: CarriedStatus = {}) {
    this.carried = { paused, closing, refused, doubtful };
  }

  toJSON(): CarriedStatus {
    return this.carried;
  }

  get paused(): Paused | undefined {
    return this.carried.paused;
  }

  get closing(): Closing | undefined {
    return this.carried.closing;
  }

  get refused(): string | undefined {
    return this.carried.refused;
  }

  /** Set when this planner is cut off: what does not come to its end is cancelled, and not tried again. */
  get cutOffBecause(): string | undefined {
    return this.cutOff;
  }

  get mayStart(): boolean {
    const { paused, refused, closing } = this.carried;
    return paused === undefined && refused === undefined && closing === undefined;
  }

  pause(now: number, reason: string): void {
    this.carried.paused = { since: now, reason };
  }

  resume(): void {
    this.carried.paused = undefined;
  }

  close(by: ClosedBy, reason: string, until?: number): void {
    this.carried.closing = { by, reason, ...(until === undefined ? {} : { until }) };
  }

  reopen(): void {
    this.carried.closing = undefined;
  }

  cutOffFor(reason: string): void {
    this.cutOff = reason;
  }

  /**
   * The remote has refused a push. It ends the run where it is the branch's: one that may be for a change is, when it
   * comes twice in a row.
   */
  refusedPush(reason: string, doubtful: boolean): void {
    const before = this.carried.doubtful ?? 0;
    this.carried.doubtful = before + 1;
    if (!doubtful || before > 0) this.carried.refused = reason;
  }

  tookPush(): void {
    this.carried.doubtful = undefined;
  }
}
