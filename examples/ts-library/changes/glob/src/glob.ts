import { LineworkError } from './errors.ts';

/**
 * A glob over paths with `/`: `*` and `?` stay within a folder, `**` crosses folders, `[a-z]` and `[!a-z]` are
 * classes, `{a,b}` alternatives. Throws `invalid-pattern` for a bracket or brace that is not closed.
 */
export function globToRegExp(pattern: string): RegExp {
  return new RegExp(`^${translate(pattern, pattern)}$`, 'su');
}

export const matches = (pattern: string, path: string): boolean => globToRegExp(pattern).test(path);

function translate(part: string, whole: string): string {
  let source = '';
  for (let i = 0; i < part.length; ) {
    const rest = part.slice(i);
    const folders = /^\*\*(\/|$)/.exec(rest);
    const first = String.fromCodePoint(part.codePointAt(i) ?? 0);
    if (folders !== null && (i === 0 || part[i - 1] === '/')) {
      source += folders[1] === '/' ? '(?:[^/]+/)*' : '.*';
      i += folders[0].length;
    } else if (first === '[') {
      const negated = /^\[[!^]/.test(rest);
      const close = closing(part, i + (negated ? 3 : 2), ']', whole);
      const body = part.slice(i + (negated ? 2 : 1), close).replace(/[\\[\]^]/g, '\\$&');
      source += `(?!/)[${negated ? '^' : ''}${body}]`;
      i = close + 1;
    } else if (first === '{') {
      const close = closing(part, i + 1, '}', whole);
      const options = part.slice(i + 1, close).split(',');
      source += `(?:${options.map((option) => translate(option, whole)).join('|')})`;
      i = close + 1;
    } else {
      source += first === '*' ? '[^/]*' : first === '?' ? '[^/]' : first.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
      i += first.length;
    }
  }
  return source;
}

function closing(part: string, from: number, bracket: string, whole: string): number {
  const at = part.indexOf(bracket, from);
  if (at === -1) throw new LineworkError('invalid-pattern', `"${whole}" lacks a ${bracket}`);
  return at;
}
