/** What a parser finds in a tool's output. Pure. */

export type Finding = {
  file?: string | undefined;
  line?: number | undefined;
  column?: number | undefined;
  code?: string | undefined;
  message: string;
};

/** Takes lines without colours; gives what it recognizes, in their order. What is not its tool's gives nothing. */
export type Parser = (outputLines: readonly string[]) => Finding[];

type Groups = Partial<Record<'file' | 'line' | 'column' | 'code' | 'message', string>>;

/** The named groups of a match as a finding. */
export function findingOf(groups: Groups | undefined, message = groups?.message ?? ''): Finding {
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  return {
    file: groups?.file,
    line: number(groups?.line),
    column: number(groups?.column),
    code: groups?.code,
    message: message.trim(),
  };
}

/** One finding for each line that fits. */
export const eachLine =
  (pattern: RegExp): Parser =>
  (outputLines) =>
    outputLines.flatMap((line) => {
      const groups = pattern.exec(line)?.groups as Groups | undefined;
      return groups === undefined ? [] : [findingOf(groups)];
    });

/** The first line from `from` that fits, at most `within` lines on and before `until`. */
export function lookAhead(
  outputLines: readonly string[],
  from: number,
  pattern: RegExp,
  { within = 40, until }: { within?: number; until?: RegExp } = {},
): RegExpExecArray | null {
  for (const line of outputLines.slice(from, from + within)) {
    if (until?.test(line) === true) return null;
    const match = pattern.exec(line);
    if (match !== null) return match;
  }
  return null;
}
