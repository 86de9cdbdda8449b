/**
 * What of a run waits for a person, and what was decided. No await; plain JSON. Invariants:
 * 1. A request is asked once, however often it arrives; one that was decided gets the same verdict again.
 * 2. Nothing is rejected by time unless the run's rules say so.
 */
import type { ApprovalRules } from '../../../shared/contracts/approval-settings.ts';
import type { ApprovalRequest, Notice, ApprovalVerdict } from '../../../shared/contracts/people.ts';
import { PLANNER_TEXT } from '../../../shared/planner/text.ts';

/** `since` and `remindedAt` in ms since the epoch. */
export type WaitingApproval = ApprovalRequest & { since: number; reminders: number; remindedAt?: number };
export type CarriedDesk = { waiting: WaitingApproval[]; verdicts: ApprovalVerdict[] };

/** Whoever finds no room here asks again. */
const MAX_WAITING = 200;
/** Who asks again has heard nothing for minutes: the newest ones are enough. */
const MAX_VERDICTS = 200;
const MAX_TEXT_CHARS = 500;
const DAY_MS = 24 * 3_600_000;

export class ApprovalDesk {
  private waitingNow: WaitingApproval[];
  private verdicts: ApprovalVerdict[];

  constructor(carried?: CarriedDesk) {
    this.waitingNow = [...(carried?.waiting ?? [])];
    this.verdicts = [...(carried?.verdicts ?? [])];
  }

  toJSON(): CarriedDesk {
    return { waiting: this.waitingNow, verdicts: this.verdicts };
  }

  /** In the order in which they were asked. */
  get waiting(): readonly WaitingApproval[] {
    return this.waitingNow;
  }

  /** Takes a request. Returns its verdict where there is one already. */
  ask(request: ApprovalRequest, now: number): ApprovalVerdict | undefined {
    const decided = this.verdicts.find(({ id }) => id === request.id);
    if (decided !== undefined) return decided;
    if (this.waitingNow.some(({ id }) => id === request.id)) return undefined;
    // The same work, tried again: nobody waits for the answer to the question before.
    this.waitingNow = this.waitingNow.filter(({ name }) => name !== request.name);
    if (this.waitingNow.length >= MAX_WAITING) return undefined;
    this.waitingNow.push({ ...request, text: request.text.slice(0, MAX_TEXT_CHARS), since: now, reminders: 0 });
    return undefined;
  }

  /** What a person means; a string says why that is nothing, or not one thing. */
  named(name: string | undefined): WaitingApproval | string {
    const names = this.waitingNow.map((each) => each.name);
    if (names.length === 0) return PLANNER_TEXT.nothingWaits;
    const found = name === undefined ? this.waitingNow : this.waitingNow.filter((each) => each.name === name);
    if (found.length === 1 && found[0] !== undefined) return found[0];
    return name === undefined ? PLANNER_TEXT.severalWait(names) : PLANNER_TEXT.waitsNot(name, names);
  }

  /** The verdict is to be told to its sender. */
  decide(waiting: WaitingApproval, approved: boolean, reason: string): ApprovalVerdict {
    const verdict = { id: waiting.id, approved, reason };
    this.waitingNow = this.waitingNow.filter(({ id }) => id !== waiting.id);
    this.verdicts = [...this.verdicts, verdict].slice(-MAX_VERDICTS);
    return verdict;
  }

  /** Forgets what nobody waits for any more. */
  forget(gone: (waiting: WaitingApproval) => boolean): void {
    this.waitingNow = this.waitingNow.filter((each) => !gone(each));
  }

  /** Of whom people are to be told now, for the first time or again; they count as told. */
  remind(rules: ApprovalRules, now: number): WaitingApproval[] {
    const due = this.waitingNow.filter((each) => remindAt(each, rules) <= now);
    for (const each of due) {
      each.reminders += 1;
      each.remindedAt = now;
    }
    return due;
  }

  /** What has waited for longer than the rules allow. */
  expired(rules: ApprovalRules, now: number): WaitingApproval[] {
    return this.waitingNow.filter((each) => expiresAt(each, rules) <= now);
  }

  /** When there is something to do next, in ms since the epoch; Infinity when nothing waits. */
  nextAt(rules: ApprovalRules): number {
    return Math.min(...this.waitingNow.map((each) => Math.min(remindAt(each, rules), expiresAt(each, rules))));
  }
}

function remindAt({ since, reminders, remindedAt }: WaitingApproval, { remindMinutes }: ApprovalRules): number {
  if (remindedAt === undefined) return since;
  return remindedAt + Math.min(DAY_MS, remindMinutes * 60_000 * 2 ** (reminders - 1));
}

const expiresAt = ({ since }: WaitingApproval, { rejectAfterMinutes }: ApprovalRules): number =>
  rejectAfterMinutes === undefined ? Infinity : since + rejectAfterMinutes * 60_000;

/** As people are told of it. */
export const noticeOf = ({
  name,
  kind,
  text,
  since,
  reminders,
  commit,
}: WaitingApproval): Notice['approvals'][number] => ({
  name,
  kind,
  text,
  since,
  reminders,
  ...(commit === undefined ? {} : { commit }),
});
