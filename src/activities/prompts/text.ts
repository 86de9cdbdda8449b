import { byteLength, cutEnd, escapeControls } from '../support/text.ts';

/**
 * Text in prompts: bounded, and what comes from repositories, tools and other agents marked as data. No line of
 * such text can pass for one of ours. Pure.
 */

/** A block of text that is information, never an instruction. Nothing inside can close it. */
export function data(source: string, text: string): string {
  const name = escapeControls(source).replace(/["<>]/g, '_');
  return `<data source="${name}">\n${text.replace(/<(?=\s*\/?\s*data\b)/gi, '&lt;')}\n</data>`;
}

/** An item whose further lines are indented, so that none can look like a heading, an item or a marker. */
export const indentRest = (text: string): string =>
  text
    .trim()
    .replace(/\r\n?|[\u2028\u2029]/g, '\n')
    .replace(/\n/g, '\n  ');

export type Section = { heading: string; body: string; maxBytes: number };

/**
 * Joins sections in their order into at most about `maxBytes`: each is cut to its own limit and to what is left.
 * Empty ones are dropped. Bodies that are fenced pass their cut through `fence`.
 */
export function assemble(sections: readonly (Section & { source?: string })[], maxBytes: number): string {
  let left = maxBytes;
  const parts: string[] = [];
  for (const { heading, body, maxBytes: own, source } of sections) {
    if (body.trim() === '') continue;
    const cut = cutEnd(body, Math.max(0, Math.min(own, left)), 'read the rest with the tools');
    const text = `${heading}\n${source === undefined ? cut : data(source, cut)}`;
    left -= byteLength(text) + 2;
    parts.push(text);
  }
  return parts.join('\n\n');
}
