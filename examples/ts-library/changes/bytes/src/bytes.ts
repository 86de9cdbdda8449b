import { LineworkError } from './errors.ts';

/** Bytes of each unit: decimal ones of powers of 1000, binary ones of powers of 1024 (IEC 80000-13). */
export const BYTE_UNITS = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
} as const;

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/**
 * Bytes of a text such as `1.5 KiB`, in whole bytes; a number alone is bytes, the case of units is free.
 * Throws `unknown-unit` or `invalid-number`.
 */
export function parseBytes(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  if (match === null) throw new LineworkError('invalid-number', `"${text}"`);
  const [, number = '', unit = ''] = match;
  const known = Object.entries(BYTE_UNITS).find(([name]) => name.toLowerCase() === (unit || 'B').toLowerCase());
  if (known === undefined) throw new LineworkError('unknown-unit', `"${unit}" in "${text}"`);
  return Math.round(Number(number) * known[1]);
}

/** Bytes with the largest binary unit that leaves at least 1, and at most one decimal. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes) || bytes < 0) throw new LineworkError('invalid-number', String(bytes));
  let value = bytes;
  let power = 0;
  // 1023.95 and more would be written as 1024.0.
  while (value >= 1023.95 && power < BINARY.length - 1) {
    value /= 1024;
    power++;
  }
  return `${Number(value.toFixed(power === 0 ? 0 : 1))} ${BINARY[power]}`;
}
