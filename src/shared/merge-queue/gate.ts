/**
 * The gate of a merge queue: which lines of requests are checked, landed and ejected. No await, plain JSON; whoever
 * drives it executes what `decide()` says and tells what came of it.
 *
 * 1. A line lands only after a check of exactly it, on exactly the tip it lands on, has passed.
 * 2. A request is ejected only after it failed alone, twice, on a tip that is known to pass.
 * 3. A check that could not run says nothing: the line is checked again.
 * 4. A failure invalidates what stood on it, and nothing else.
 */
import { type Line, sameLine, startsWith, without } from './line.ts';
import {
  BELIEVED,
  type Entry,
  type Failed,
  isBelieved,
  mainLine,
  suspectGroups,
  wantedChecks,
  type Situation,
} from './wanted-checks.ts';

export type Running = { key: number; line: string[] };

export type GateState = {
  /** Oldest first. */
  entries: Entry[];
  running: Running[];
  /** Checks that are of no use any more and not cancelled yet. */
  obsolete: number[];
  failed: Failed[];
  /** Have passed on the present tip and are not landed yet. */
  passed: string[][];
  landing: string[] | null;
  /** Whether the tip alone passes; a line that landed through the gate does. */
  tip: 'green' | 'unknown' | 'red';
  tipFailures: number;
  /** Requests that conflict with requests before them, not with the tip: they wait until one of those has gone. */
  aside: { id: string; behind: string[] }[];
  keys: number;
};

export type Decision =
  | { kind: 'check'; key: number; line: string[] }
  | { kind: 'cancel'; key: number }
  | { kind: 'land'; line: string[] }
  | { kind: 'eject'; id: string; report: string };

export type Conditions = {
  /** How many checks may run at once. */
  slots: number;
  /** Whether a request may land at present; not while the branch is frozen for it. Default: it may. */
  mayLand?: (entry: Entry) => boolean;
  /** false while no check can be run. */
  starts?: boolean;
  /** Whether a verdict on a tip that nobody has checked is wanted in any case. */
  doubted?: boolean;
};

export type Verdict = { passed: boolean; report: string };

export const newGate = (tip: GateState['tip'] = 'unknown'): GateState => ({
  entries: [],
  running: [],
  obsolete: [],
  failed: [],
  passed: [],
  landing: null,
  tip,
  tipFailures: 0,
  aside: [],
  keys: 0,
});

/** What others see of a gate; it is changed by its own methods alone. */
export type GateView = { readonly [Part in keyof GateState]: Readonly<GateState[Part]> };

export class Gate {
  private readonly state: GateState;
  private readonly maxBatch: number;

  constructor(state: GateState, { maxBatch }: { maxBatch: number }) {
    this.state = state;
    this.maxBatch = maxBatch;
  }

  get seen(): GateView {
    return this.state;
  }

  add(entry: Entry): void {
    this.state.entries.push(entry);
  }

  /** The present tip has passed its checks, as somebody else has seen. */
  trustTip(): void {
    Object.assign(this.state, { tip: 'green', tipFailures: 0 });
  }

  /** A tip that failed by itself is worth another check. */
  doubtTip(): void {
    if (this.state.tip === 'red') Object.assign(this.state, { tip: 'unknown', tipFailures: 0 });
  }

  /** Nothing of this line lands, and whoever waits for one of its requests has been answered. */
  refused(line: readonly string[]): void {
    this.state.landing = null;
    this.withdraw(line);
  }

  /** Answered otherwise: ejected, conflicted, or landed already. */
  withdraw(ids: readonly string[]): void {
    const { state } = this;
    const gone = (line: Line): boolean => line.some((id) => ids.includes(id));
    state.entries = state.entries.filter(({ id }) => !ids.includes(id));
    this.cancel(gone);
    state.failed = state.failed.filter(({ line }) => !gone(line));
    state.passed = state.passed.filter((line) => !gone(line));
    state.aside = state.aside.filter(({ id, behind }) => !ids.includes(id) && !gone(behind));
  }

  /**
   * What is to be done now, which is then under way.
   */
  decide(conditions: Conditions): Decision[] {
    const { state } = this;
    const ejected = this.ejectCulprits();
    if (state.landing !== null) return ejected;
    const situation = this.situation(conditions);
    const line = this.nextToLand(situation);
    if (line !== undefined) {
      state.landing = line;
      return [...ejected, ...this.cancelObsolete(), { kind: 'land', line }];
    }
    return [...ejected, ...this.cancelObsolete(), ...(conditions.starts === false ? [] : this.schedule(situation))];
  }

  /** What of a line could be merged, in its order; `aside` conflicts with what is before it in the line. */
  composed(key: number, line: readonly string[], aside: readonly string[]): void {
    const check = this.state.running.find((other) => other.key === key);
    if (check === undefined) return;
    this.state.aside.push(...aside.map((id) => ({ id, behind: [...line] })));
    if (line.length === 0 && check.line.length > 0) this.ended(key);
    else check.line = [...line];
  }

  /** @param verdict undefined when the check could not be run. */
  checked(key: number, verdict: Verdict | undefined): void {
    const check = this.ended(key);
    if (check === undefined || verdict === undefined) return;
    const { state } = this;
    const { line } = check;
    if (line.length === 0) {
      state.tipFailures = verdict.passed ? 0 : state.tipFailures + 1;
      if (verdict.passed) state.tip = 'green';
      // What failed on it need not have been to blame, and a fix is judged by what the tip fails with.
      else if (state.tipFailures >= BELIEVED) Object.assign(state, { tip: 'red', failed: [] });
      return;
    }
    if (verdict.passed) {
      state.failed = state.failed.filter((other) => !sameLine(other.line, line));
      state.passed.push(line);
      return;
    }
    const before = state.failed.find((other) => sameLine(other.line, line));
    // A part of what is believed to fail need not be tried twice on the way to the one that is to blame.
    const expected = state.failed.some((whole) => isBelieved(whole) && startsWith(whole.line, line));
    if (before === undefined) state.failed.push({ line, times: 1, report: verdict.report, expected });
    else Object.assign(before, { times: before.times + 1, report: verdict.report });
  }

  /**
   * The branch has been read back with the line that was to land on it.
   * @param tip `unknown` where the line only made a red branch better.
   */
  landed(tip: 'green' | 'unknown' = 'green'): void {
    const { state } = this;
    const landed = state.landing ?? [];
    const rest = (line: Line): string[] => line.slice(landed.length);
    const stands = (line: Line): boolean => line.length > landed.length && startsWith(line, landed);
    state.landing = null;
    state.entries = state.entries.filter(({ id }) => !landed.includes(id));
    this.cancel((line) => !stands(line));
    // They passed, though on a tip that is no more: they are not what made a longer line fail.
    const cleared = state.passed.filter((line) => !startsWith(line, landed)).flat();
    for (const check of state.running) check.line = rest(check.line);
    state.passed = state.passed.filter(stands).map(rest);
    // What failed on another tip is still suspect, but has to fail once more on this one.
    state.failed = state.failed
      .map((each) =>
        startsWith(each.line, landed)
          ? // Of what passes its checks the last one is tried by itself, for the remote to judge.
            { ...each, line: rest(each.line), times: each.passes === true ? 1 : each.times }
          : { ...each, line: without(each.line, [...landed, ...cleared]), times: 1 },
      )
      .filter(({ line }) => line.length > 0);
    Object.assign(state, { aside: [], tip, tipFailures: 0 });
  }

  /** The remote says no to the line for something that may be in one request of it: which, is found by dividing. */
  divide(report: string): void {
    const { state } = this;
    const line = state.landing ?? [];
    state.landing = null;
    state.passed = state.passed.filter((other) => !sameLine(other, line));
    state.failed.push({ line, times: BELIEVED, report, passes: true });
  }

  /** What a running check judges as things stand: without what has landed since it began. */
  lineOf(key: number): string[] | undefined {
    return this.state.running.find((check) => check.key === key)?.line;
  }

  /** Somebody else moved the branch: nothing that was found out holds on the new tip. */
  moved(): void {
    this.cancel(() => true);
    Object.assign(this.state, { failed: [], passed: [], landing: null, aside: [], tip: 'unknown', tipFailures: 0 });
  }

  private situation({ slots, mayLand = () => true, doubted = false }: Conditions): Situation {
    const { state, maxBatch } = this;
    const aside = new Set(state.aside.map(({ id }) => id));
    const entries = state.entries.filter((entry) => !aside.has(entry.id) && mayLand(entry));
    const running = state.running.map(({ line }) => line);
    const accused = suspectGroups({ entries, failed: state.failed }).some(isCulprit);
    const tipInDoubt = (accused || doubted) && state.tip === 'unknown';
    return { entries, running, failed: state.failed, tipInDoubt, slots, maxBatch };
  }

  private ejectCulprits(): Decision[] {
    const { state } = this;
    const found = state.failed.filter(isCulprit).flatMap(({ line: [id], report }) => {
      const entry = state.entries.find((other) => other.id === id);
      if (entry === undefined) return [];
      // On a branch that fails by itself only what was to mend it can be blamed.
      const blamed = state.tip === 'green' || (state.tip === 'red' && entry.fix);
      return blamed ? [{ kind: 'eject' as const, id: entry.id, report }] : [];
    });
    const ids = found.map(({ id }) => id);
    this.withdraw(ids);
    return found;
  }

  /** The longest line that has passed, unless its landing would throw away checks that are further. */
  private nextToLand(situation: Situation): string[] | undefined {
    const { passed } = this.state;
    const may = new Set(situation.entries.map(({ id }) => id));
    const passedLines = passed.filter((line) => line.every((id) => may.has(id))).sort((a, b) => b.length - a.length);
    const suspects = new Set(suspectGroups(situation).flatMap(({ line }) => line));
    const main = mainLine(situation, suspects);
    const inFlight = situation.running.filter((line) => line.length > 0 && startsWith(main, line));
    return passedLines.find((line) => inFlight.every((other) => startsWith(other, line) || startsWith(line, other)));
  }

  private schedule(situation: Situation): Decision[] {
    const { state } = this;
    const decisions: Decision[] = [];
    const open = [...state.running];
    const started = (line: string[]): void => {
      const check = { key: ++state.keys, line: [...line] };
      state.running.push(check);
      decisions.push({ kind: 'check', ...check });
    };
    for (const { line, spare } of wantedChecks(situation)) {
      const same = open.findIndex((check) => sameLine(check.line, line));
      if (same >= 0) {
        open.splice(same, 1);
      } else if (state.running.length < situation.slots) {
        started(line);
      } else if (!spare) {
        const worse = open.pop();
        if (worse === undefined) break;
        state.running = state.running.filter(({ key }) => key !== worse.key);
        decisions.push({ kind: 'cancel', key: worse.key });
        started(line);
      }
    }
    return decisions;
  }

  private cancel(lost: (line: Line) => boolean): void {
    const { state } = this;
    state.obsolete.push(...state.running.filter(({ line }) => lost(line)).map(({ key }) => key));
    state.running = state.running.filter(({ line }) => !lost(line));
  }

  private cancelObsolete(): Decision[] {
    const keys = this.state.obsolete;
    this.state.obsolete = [];
    return keys.map((key) => ({ kind: 'cancel', key }));
  }

  private ended(key: number): Running | undefined {
    const check = this.state.running.find((other) => other.key === key);
    this.state.running = this.state.running.filter((other) => other !== check);
    return check;
  }
}

const isCulprit = ({ line, times }: Failed): boolean => line.length === 1 && times >= BELIEVED;
