/**
 * How the workers of a run are lent down its tree. A planner gives each planner below it one at its start and more
 * when that has use for them; what has no use goes back. Messages between the two may be late, or come in another
 * order than they were sent. Pure functions of values. Invariants:
 * 1. All that run below a planner and by itself are never more than its limit, unless that was lowered under them.
 * 2. A planner below keeps one worker as long as it lives: however few there are, each division comes to its end.
 */

/** A planner below, as the one above knows it. */
export type WorkersBelow = {
  /** Of the newest word that was sent to it. */
  round: number;
  /** What that word lets it use. */
  most: number;
  /** What it may still use for all that is known here; at least `most`. */
  held: number;
  /** What it has use for. */
  wants: number;
  /** The number of its newest report. */
  heard: number;
};

/** A planner below, as it knows itself. `told` is what the one above counts. */
export type WorkersLent = {
  round: number;
  most: number;
  reports: number;
  told: { holds: number; wants: number };
};

/** From above: of its messages the one of the highest round holds. */
export type WorkersWord = { round: number; most: number; held: number };
/** From below, in answer to the words up to `round`: it uses no more than `holds` until it hears another. */
export type WorkersNeed = { number: number; round: number; wants: number; holds: number };

export const FIRST_BELOW: WorkersBelow = { round: 0, most: 1, held: 1, wants: 1, heard: 0 };
export const FIRST_LENT: WorkersLent = { round: 0, most: 1, reports: 0, told: { holds: 1, wants: 1 } };

export type WorkersClaims = {
  limit: number;
  /** Tasks of its own that run, divisions left out. */
  active: number;
  /** Priorities of its own tasks that could start, in the order in which they would. */
  ready: readonly number[];
  below: readonly (Pick<WorkersBelow, 'most' | 'held' | 'wants'> & { priority: number })[];
};

/**
 * How many of its own tasks a planner starts now, and what each of those below may use from now on. One worker after
 * the other goes to the highest priority that has use for it, then to whoever has the fewest. What others hold beyond
 * that is asked back, and lent out again once they have given it.
 */
export function allotWorkers({ limit, active, ready, below }: WorkersClaims): { start: number; most: number[] } {
  const targets = below.map(() => 1);
  let free = limit - active - below.reduce((sum, { held }) => sum + held, 0);
  const most = below.map((each) => Math.min(each.most, 1));
  let start = 0;
  let own = 0;
  for (let left = limit - active - below.length; left > 0; left--) {
    let next: { priority: number; has: number; index: number } | undefined;
    const priority = ready[own];
    if (priority !== undefined) next = { priority, has: active + own, index: -1 };
    for (const [index, { priority, wants }] of below.entries()) {
      const has = targets[index] ?? wants;
      if (has >= wants) continue;
      if (next === undefined || priority < next.priority || (priority === next.priority && has < next.has))
        next = { priority, has, index };
    }
    if (next === undefined) break;
    if (next.index === -1) {
      own += 1;
      if (free <= 0) continue;
      start += 1;
      free -= 1;
    } else {
      const { held } = below[next.index] ?? FIRST_BELOW;
      const lent = most[next.index] ?? 1;
      targets[next.index] = next.has + 1;
      // What it has not given back yet can be left with it.
      if (lent >= held && free <= 0) continue;
      if (lent >= held) free -= 1;
      most[next.index] = lent + 1;
    }
  }
  return { start, most };
}

/** The word by which a planner below may use `most`; undefined where that is what it knows. */
export function lend(below: WorkersBelow, most: number): { below: WorkersBelow; word: WorkersWord } | undefined {
  if (most === below.most) return undefined;
  const next = { ...below, round: below.round + 1, most, held: Math.max(below.held, most) };
  return { below: next, word: { round: next.round, most, held: next.held } };
}

/** A report that crossed a newer word says nothing of what is held after that. */
export function heardNeed(below: WorkersBelow, { number, round, wants, holds }: WorkersNeed): WorkersBelow {
  if (number <= below.heard) return below;
  const known = { ...below, heard: number, wants };
  return round === below.round ? { ...known, held: holds, most: Math.min(below.most, holds) } : known;
}

export function heardWord(lent: WorkersLent, { round, most, held }: WorkersWord): WorkersLent {
  if (round <= lent.round) return lent;
  return { ...lent, round, most, told: { ...lent.told, holds: held } };
}

/**
 * What is to be reported where it is not what the planner above counts, or it is to be said `again`. `using`: what
 * runs, and what is lent on.
 */
export function needOf(
  lent: WorkersLent,
  { using, wants, again = false }: { using: number; wants: number; again?: boolean },
): { lent: WorkersLent; need: WorkersNeed } | undefined {
  const holds = Math.max(1, using, Math.min(lent.most, wants));
  if (!again && holds === lent.told.holds && wants === lent.told.wants) return undefined;
  const number = lent.reports + 1;
  return {
    lent: { ...lent, most: Math.min(lent.most, holds), reports: number, told: { holds, wants } },
    need: { number, round: lent.round, wants, holds },
  };
}
