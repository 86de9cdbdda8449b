import { LineworkError } from './errors.ts';

/** Milliseconds of each unit, longest first. */
export const DURATION_UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

const isUnit = (unit: string): unit is keyof typeof DURATION_UNITS => Object.hasOwn(DURATION_UNITS, unit);

/**
 * Milliseconds of a text such as `1h 30m`, `90s`, `-1.5d`; the sign counts for the whole. Throws
 * `unknown-unit` for a unit that is not one, `invalid-number` for anything else.
 */
export function parseDuration(text: string): number {
  const [, sign = '', rest = ''] = /^\s*([+-]?)(.*?)\s*$/s.exec(text) ?? [];
  if (!/^(?:\d+(?:\.\d+)?\s*[^\d\s.]+\s*)+$/.test(rest)) throw new LineworkError('invalid-number', `"${text}"`);
  let total = 0;
  for (const [, number = '', unit = ''] of rest.matchAll(/(\d+(?:\.\d+)?)\s*([^\d\s.]+)/g)) {
    if (!isUnit(unit)) throw new LineworkError('unknown-unit', `"${unit}" in "${text}"`);
    total += Number(number) * DURATION_UNITS[unit];
  }
  return sign === '-' ? -total : total;
}

/** Milliseconds as text, without units that are zero: `1h 30m`; what is below a millisecond is rounded. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) throw new LineworkError('invalid-number', String(ms));
  let left = Math.round(Math.abs(ms));
  const parts: string[] = [];
  for (const [unit, size] of Object.entries(DURATION_UNITS)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  if (parts.length === 0) return '0s';
  return `${ms < 0 ? '-' : ''}${parts.join(' ')}`;
}
