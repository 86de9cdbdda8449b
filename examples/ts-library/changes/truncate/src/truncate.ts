import { displayWidth, graphemes } from './width.ts';

export type TruncateOptions = {
  /** Where the text is cut; at the end unless given. */
  position?: 'start' | 'middle' | 'end';
  /** Stands for what was cut; `…` unless given. */
  ellipsis?: string;
};

/** A text of at most `width` columns. What is cut loses its control sequences. */
export function truncate(text: string, width: number, { position = 'end', ellipsis = '…' }: TruncateOptions = {}): string {
  if (displayWidth(text) <= width) return text;
  const room = width - displayWidth(ellipsis);
  if (room < 0) return take(graphemes(ellipsis), width);
  const characters = graphemes(text);
  const fromEnd = (columns: number): string => take(characters.toReversed(), columns, true);
  if (position === 'end') return take(characters, room) + ellipsis;
  if (position === 'start') return ellipsis + fromEnd(room);
  return take(characters, Math.ceil(room / 2)) + ellipsis + fromEnd(Math.floor(room / 2));
}

/** As many characters as fit into the columns; with `reversed` they are given last first. */
function take(characters: readonly string[], columns: number, reversed = false): string {
  let text = '';
  let left = columns;
  for (const character of characters) {
    left -= displayWidth(character);
    if (left < 0) break;
    text = reversed ? character + text : text + character;
  }
  return text;
}
