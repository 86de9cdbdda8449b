export type JoinOptions = {
  /** Before the last item; `and` unless given. */
  conjunction?: string;
};

/** A list as a person would say it: `a, b and c`. */
export function joinWords(items: readonly string[], { conjunction = 'and' }: JoinOptions = {}): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} ${conjunction} ${items.at(-1)}`;
}

/** A count with its noun: `1 file`, `2 files`. The plural of a regular noun need not be given. */
export function plural(count: number, one: string, many: string = regularPlural(one)): string {
  return `${count} ${Math.abs(count) === 1 ? one : many}`;
}

/** `1st`, `2nd`, `11th`. */
export function ordinal(n: number): string {
  return `${n}${SUFFIXES[rules.select(n)] ?? 'th'}`;
}

const rules = new Intl.PluralRules('en', { type: 'ordinal' });
const SUFFIXES: Partial<Record<Intl.LDMLPluralRule, string>> = { one: 'st', two: 'nd', few: 'rd' };

function regularPlural(noun: string): string {
  if (/(?:s|x|z|ch|sh)$/i.test(noun)) return `${noun}es`;
  return /[^aeiou]y$/i.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`;
}
