import { displayWidth } from './width.ts';

export type Align = 'left' | 'right' | 'center';

export type TableOptions = {
  /** Stands above a line of dashes. */
  header?: readonly string[];
  /** By column; left where there is none. */
  align?: readonly Align[];
  /** Columns of space between two columns; 2 unless given. */
  gap?: number;
};

/** Rows of cells as lines, each column as wide as its widest cell; no white space at the end of a line. */
export function table(rows: readonly (readonly string[])[], { header, align = [], gap = 2 }: TableOptions = {}): string {
  const all = header === undefined ? rows : [header, ...rows];
  const count = Math.max(0, ...all.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, i) => Math.max(...all.map((row) => displayWidth(row[i] ?? ''))));
  const line = (row: readonly string[]): string =>
    widths
      .map((width, i) => pad(row[i] ?? '', width, align[i] ?? 'left'))
      .join(' '.repeat(gap))
      .trimEnd();
  const lines = rows.map(line);
  return (header === undefined ? lines : [line(header), line(widths.map((width) => '-'.repeat(width))), ...lines]).join('\n');
}

function pad(text: string, width: number, align: Align): string {
  const space = width - displayWidth(text);
  const before = align === 'right' ? space : align === 'center' ? Math.floor(space / 2) : 0;
  return ' '.repeat(before) + text + ' '.repeat(space - before);
}
