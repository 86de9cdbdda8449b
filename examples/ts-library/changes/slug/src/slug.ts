export type SlugOptions = {
  /** Between words; `-` unless given. */
  separator?: string;
  /** The slug is cut after a word so that it is no longer; a single longer word is cut inside. */
  maxLength?: number;
};

/** Letters that do not decompose into an ASCII letter and marks. */
const SPELLED_OUT: Readonly<Record<string, string>> = {
  ß: 'ss', æ: 'ae', œ: 'oe', ø: 'o', đ: 'd', ð: 'd', þ: 'th', ł: 'l', ı: 'i', '&': ' and ',
};

/** A text as lower-case ASCII words for URLs and file names. Characters without an ASCII form are dropped. */
export function slugify(text: string, { separator = '-', maxLength = Infinity }: SlugOptions = {}): string {
  const words =
    text
      .toLowerCase()
      .replace(/./gsu, (character) => SPELLED_OUT[character] ?? character)
      .normalize('NFKD')
      .replace(/[\p{Mark}'’]/gu, '')
      .match(/[a-z0-9]+/g) ?? [];
  let slug = '';
  for (const word of words) {
    const longer = slug === '' ? word : slug + separator + word;
    if (longer.length > maxLength) break;
    slug = longer;
  }
  return slug === '' ? (words[0] ?? '').slice(0, maxLength) : slug;
}
