/** Tests by outcome. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Names the file into which the test reporter writes its counts, for the gates to add up. */
export const COUNTS_FILE_VARIABLE = 'AGENTSWARM_COUNTS_FILE';

/** `12 passed, 0 failed`, and `, 3 skipped` where some were. */
export const closingLine = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;

/** null for anything but the JSON of counts. */
export function parseCounts(text: string): Counts | null {
  if (text === '') return null;
  const value = JSON.parse(text) as Partial<Record<keyof Counts, unknown>>;
  const { passed, failed, skipped } = value;
  if (typeof passed !== 'number' || typeof failed !== 'number' || typeof skipped !== 'number') return null;
  return { passed, failed, skipped };
}
