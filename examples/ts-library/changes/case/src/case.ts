const WORD = /\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|\p{Lo}+|\p{N}+/gu;

/** The words of an identifier or a phrase, in lower case: `HTTPServer2go` is http, server, 2, go. */
export function splitWords(text: string): string[] {
  return (text.normalize('NFC').match(WORD) ?? []).map((word) => word.toLowerCase());
}

export const kebabCase = (text: string): string => splitWords(text).join('-');

export const snakeCase = (text: string): string => splitWords(text).join('_');

export const pascalCase = (text: string): string => splitWords(text).map(capitalized).join('');

export const titleCase = (text: string): string => splitWords(text).map(capitalized).join(' ');

export function camelCase(text: string): string {
  const [first = '', ...rest] = splitWords(text);
  return first + rest.map(capitalized).join('');
}

function capitalized(word: string): string {
  const [first = ''] = word;
  return first.toUpperCase() + word.slice(first.length);
}
