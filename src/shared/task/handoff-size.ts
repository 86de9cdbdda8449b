/** Handoffs in bounds: they travel in signals and results (2 MB at most) and in a planner's carried state. Pure. */
import type { Handoff } from '../contracts/task.ts';

/** What a task hands to its parent, in characters: far more than a planner's brief shows of it. */
export const MAX_HANDOFF_CHARS = 60_000;

const MAX_POINT_CHARS = 4_000;

/** The first paths that fit into `maxChars` together; none is cut. */
export function boundedPaths(paths: readonly string[], maxChars: number): string[] {
  let left = maxChars;
  const fitting: string[] = [];
  for (const path of paths) {
    left -= path.length;
    if (left < 0) break;
    fitting.push(path);
  }
  return fitting;
}

/**
 * The same handoff with texts of at most `maxChars` characters together: half for the summary, then concerns,
 * suggestions and paths in what is left. One that fits is not changed.
 */
export function boundedHandoff(handoff: Handoff, maxChars: number): Handoff {
  const summary = handoff.summary.slice(0, Math.floor(maxChars / 2));
  let left = maxChars - summary.length;
  const points = (texts: readonly string[], share: number): string[] => {
    let room = Math.floor(left * share);
    const fitting: string[] = [];
    for (const text of texts) {
      const cut = text.slice(0, Math.min(room, MAX_POINT_CHARS));
      if (cut === '' && text !== '') break;
      fitting.push(cut);
      room -= cut.length;
      left -= cut.length;
    }
    return fitting;
  };
  const concerns = points(handoff.concerns, 0.5);
  const suggestions = points(handoff.suggestions, 0.6);
  return { ...handoff, summary, concerns, suggestions, filesChanged: boundedPaths(handoff.filesChanged, left) };
}
