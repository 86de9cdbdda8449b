import { LineworkError } from './errors.ts';

/** Milliseconds of each unit, longest first. */
export const DURATION_UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

const isUnit = (unit: string): unit is keyof typeof DURATION_UNITS => Object.hasOwn(DURATION_UNITS, unit);

/** Milliseconds of a text such as `1h 30m`, `90s`, `-1.5d`. */
export function parseDuration(text: string): number {
  const match = /^\s*([+-]?\d+(?:\.\d+)?)\s*([a-z]+)/.exec(text);
  if (match === null) throw new LineworkError('invalid-number', `"${text}"`);
  const [, number = '', unit = ''] = match;
  if (!isUnit(unit)) throw new LineworkError('unknown-unit', `"${unit}" in "${text}"`);
  return Number(number) * DURATION_UNITS[unit];
}

/** Milliseconds as text, without units that are zero: `1h 30m`; what is below a millisecond is rounded. */
export function formatDuration(ms: number): string {
  let left = Math.round(Math.abs(ms));
  const parts: string[] = [];
  for (const [unit, size] of Object.entries(DURATION_UNITS)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.length === 0 ? '0s' : `${ms < 0 ? '-' : ''}${parts.join(' ')}`;
}
