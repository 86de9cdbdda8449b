/** Figures as people read them. Pure. */
import type { Budget, Spent } from '../shared/contracts/budget.ts';

/** 842, 3.1k, 12.4M. */
export function formatCount(count: number): string {
  if (count < 1_000) return String(count);
  if (count < 999_950) return `${(count / 1_000).toFixed(1)}k`;
  return `${(count / 1_000_000).toFixed(1)}M`;
}

/** US dollars; what is not nothing never shows as nothing. */
export const formatUsd = (usd: number): string => {
  if (usd > 0 && usd < 0.01) return `$${usd.toFixed(4)}`;
  return `$${usd.toFixed(2)}`;
};

/** 12.4k of 300.0k tokens, $0.62 of $25.00: what of a budget is spent. */
export function formatBudget({ total, spent }: { total: Budget; spent: Spent }): string {
  return [
    ...(total.tokens === undefined ? [] : [`${formatCount(spent.tokens)} of ${formatCount(total.tokens)} tokens`]),
    ...(total.usd === undefined ? [] : [`${formatUsd(spent.usd)} of ${formatUsd(total.usd)}`]),
  ].join(', ');
}

/** 4.2 s, 3 min 05 s, 2 h 07 min. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, ms) / 1_000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/**
 * Text out of a model or a repository on one line of at most `width` characters: control characters (escape
 * sequences could rewrite what the person sees) and line breaks become spaces.
 */
export function oneLine(text: string, width = 100): string {
  const flat = printable(text).replace(/\s+/g, ' ').trim();
  const characters = [...flat];
  return characters.length <= width ? flat : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`;
}

/** Text of any length without control characters, line breaks kept. */
export const printable = (text: string): string => text.replace(/[^\P{C}\n]/gu, ' ');

/** As one word of a POSIX shell: what is shown may be pasted. */
export const shellWord = (word: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) && !word.startsWith('-') ? word : `'${word.replaceAll("'", "'\\''")}'`;
