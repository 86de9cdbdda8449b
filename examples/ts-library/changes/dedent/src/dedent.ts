/**
 * Drops the white space that all lines have in common at their start. Lines of white space only do not count
 * and become empty; a first and a last line of that kind go, as they come from a template literal.
 */
export function dedent(text: string): string {
  const lines = text.split('\n').map((line) => (line.trim() === '' ? '' : line));
  if (lines.length > 1 && lines[0] === '') lines.shift();
  if (lines.length > 1 && lines.at(-1) === '') lines.pop();
  const margins = lines.filter((line) => line !== '').map((line) => /^[ \t]*/.exec(line)?.[0] ?? '');
  const margin = margins.length === 0 ? '' : margins.reduce(commonPrefix);
  return lines.map((line) => line.slice(margin.length)).join('\n');
}

/** Puts a prefix before every line that is not empty. */
export function indent(text: string, prefix: string): string {
  return text.replace(/^(?!$)/gm, () => prefix);
}

function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return a.slice(0, length);
}
