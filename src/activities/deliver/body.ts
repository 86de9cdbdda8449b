/** The body of a pull request: the run's report, and what people have written around it. Pure. */

const BEGIN = '<!-- agentswarm: report -->';
const END = '<!-- agentswarm: end -->';
/** GitHub takes 65,536 characters. */
const MAX_CHARS = 60_000;

/**
 * @param report Markdown, with words of models in it: nobody is mentioned, and no issue closed, by it.
 * @param before the body as it is; what stands outside of the markers is kept.
 */
export function pullRequestBody(report: string, before = ''): string {
  const from = before.indexOf(BEGIN);
  const to = before.indexOf(END, from);
  const [above, below] =
    from === -1 || to === -1
      ? [before.trim() === '' ? '' : `${before.trimEnd()}\n\n`, '']
      : [before.slice(0, from), before.slice(to + END.length)];
  const frame = `${above}${BEGIN}\n\n\n\n${END}${below}`.length;
  return `${above}${BEGIN}\n\n${cut(quiet(report), Math.max(0, MAX_CHARS - frame))}\n\n${END}${below}`;
}

/** A zero-width space after what a host would act upon: `@name`, `#12`, `<tag>`. */
const quiet = (text: string): string => text.replace(/[@#](?=\w)|<(?=[!/a-z])/gi, '$&\u200b');

const cut = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, Math.max(0, most - CUT.length))}${CUT}`;
const CUT = '\n\n… cut: the whole report is the result of the run.';
