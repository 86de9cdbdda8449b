import { displayWidth, graphemes } from './width.ts';

/**
 * Breaks lines at white space so that each takes at most `width` columns. Line breaks and each line's indent
 * are kept; a word that is too long is cut. Control sequences inside a word that is cut are lost.
 */
export function wrap(text: string, width: number): string {
  if (!(width >= 1)) throw new RangeError(`width is ${width}; it must be at least 1`);
  return text
    .split('\n')
    .map((line) => wrapLine(line, width))
    .join('\n');
}

function wrapLine(line: string, width: number): string {
  if (displayWidth(line) <= width) return line;
  const margin = /^\s*/.exec(line)?.[0] ?? '';
  const indent = displayWidth(margin) < width ? margin : '';
  const room = width - displayWidth(indent);
  const lines: string[] = [];
  let current = '';
  for (const word of line.split(/\s+/).filter((part) => part !== '')) {
    const longer = current === '' ? word : `${current} ${word}`;
    if (displayWidth(longer) <= room) {
      current = longer;
      continue;
    }
    if (current !== '') lines.push(current);
    const parts = cut(word, room);
    current = parts.pop() ?? '';
    lines.push(...parts);
  }
  if (current !== '') lines.push(current);
  return lines.map((part) => indent + part).join('\n');
}

/** A word in parts of at most `room` columns; a character that is wider than that stands alone. */
function cut(word: string, room: number): string[] {
  if (displayWidth(word) <= room) return [word];
  const parts: string[] = [];
  let current = '';
  for (const grapheme of graphemes(word)) {
    if (current !== '' && displayWidth(current + grapheme) > room) {
      parts.push(current);
      current = '';
    }
    current += grapheme;
  }
  return [...parts, current];
}
