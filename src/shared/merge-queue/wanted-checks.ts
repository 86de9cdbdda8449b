/**
 * Which checks are worth a slot, most worth first. Pure.
 *
 * The main line is all that is not under suspicion, each check of it standing on the one before. What failed is a
 * suspect: it is tried again and divided beside the main line, which goes on without it. Slots that are left are for
 * what would be needed if something failed: the main line without one of its parts (after Ananthanarayanan et al., "Keeping Master Green at Scale", EuroSys 2019: build what is needed most probably).
 */
import { type Line, sameLine, startsWith, without } from './line.ts';

export type Entry = { id: string; priority: number; fix: boolean };

/** A line that has failed: `times` in a row, on the present tip or on one that it stands on. */
export type Failed = {
  line: string[];
  times: number;
  report: string;
  /** It is the beginning of a line that is believed to fail. */
  expected?: boolean | undefined;
  /** Its checks pass, and the remote does not take it. */
  passes?: boolean | undefined;
};

export type Wanted = {
  line: string[];
  /** Only for a slot that nobody needs; may be cancelled for something better. */
  spare: boolean;
};

export type Situation = {
  /** What may be landed now, oldest first. */
  entries: readonly Entry[];
  running: readonly Line[];
  failed: readonly Failed[];
  /** Whether a verdict on the tip alone is wanting. */
  tipInDoubt: boolean;
  slots: number;
  maxBatch: number;
};

/** A failure is believed when it has come twice: one retry for flakes. */
export const BELIEVED = 2;

/** Whether it is divided. Nobody is ejected for what is only expected. */
export const isBelieved = ({ line, times, expected }: Failed): boolean =>
  times >= BELIEVED || (expected === true && line.length > 1);

export function wantedChecks(situation: Situation): Wanted[] {
  const { running, tipInDoubt, slots } = situation;
  const parallel = slots > 1;
  const groups = suspectGroups(situation);
  const main = mainLine(situation, new Set(groups.flatMap(({ line }) => line)));
  const inFlight = running.filter((line) => line.length > 0 && startsWith(main, line));
  const [first, ...others] = groups.flatMap((group) => trials(group, parallel));
  const needed = [
    ...(tipInDoubt ? [[]] : []),
    ...inFlight.map((line) => [...line]),
    ...(first === undefined ? [] : [first]),
    ...(main.length > 0 && !inFlight.some((line) => sameLine(line, main)) ? [main] : []),
    ...others,
  ];
  const unique = needed.filter((line, i) => needed.findIndex((other) => sameLine(other, line)) === i);
  return [
    ...unique.map((line) => ({ line, spare: false })),
    ...(parallel ? hedges(main, inFlight) : []).map((line) => ({ line, spare: true })),
  ];
}

/** The shortest lines that have failed: what explains all longer ones that contain them. */
export function suspectGroups({ entries, failed }: Pick<Situation, 'entries' | 'failed'>): Failed[] {
  const present = new Set(entries.map(({ id }) => id));
  const groups: Failed[] = [];
  for (const each of [...failed].sort((a, b) => a.line.length - b.line.length)) {
    if (!each.line.every((id) => present.has(id))) continue;
    if (!groups.some(({ line }) => line.every((id) => each.line.includes(id)))) groups.push(each);
  }
  return groups;
}

/** All that is not suspected: what is being checked in its order, then the others by priority and age. */
export function mainLine({ entries, running, maxBatch }: Situation, suspects: ReadonlySet<string>): string[] {
  const free = entries.filter(({ id }) => !suspects.has(id));
  const known = new Set(free.map(({ id }) => id));
  const begun = running
    .filter((line) => line.every((id) => known.has(id)))
    .reduce<Line>((longest, line) => (line.length > longest.length ? line : longest), []);
  const rest = free.filter(({ id }) => !begun.includes(id)).sort((a, b) => a.priority - b.priority);
  return [...begun, ...rest.map(({ id }) => id)].slice(0, Math.max(maxBatch, begun.length));
}

/** The next checks of a line that failed: once more, or its first half, which lands when it passes. */
function trials(failed: Failed, parallel: boolean): string[][] {
  const { line } = failed;
  const half = line.length > 1 ? [line.slice(0, Math.ceil(line.length / 2))] : [];
  if (isBelieved(failed)) return half;
  return parallel ? [...half, [...line]] : [[...line], ...half];
}

/** `main` without one of the parts that are being checked, oldest first. */
function hedges(main: Line, inFlight: readonly Line[]): string[][] {
  if (main.length === 0) return [];
  const ends = [...new Set(inFlight.map((line) => line.length))].sort((a, b) => a - b);
  const parts = ends.map((end, i) => main.slice(ends[i - 1] ?? 0, end));
  const others = parts.filter((part) => part.length < main.length && part.at(-1) !== main.at(-1));
  return others.map((part) => without(main, part));
}
