/** What the mutants' run shows a person. */
import type { Mutant } from './catalogue.ts';
import type { Verdict } from './judge.ts';

export type Judged = { mutant: Mutant; verdict: Verdict; ms: number };

export const isCaught = ({ verdict }: Judged): boolean => verdict.kind === 'caught' || verdict.kind === 'time limit';

/** One line for a mutant that has been judged. */
export function lineOf({ mutant, verdict, ms }: Judged): string {
  const took = `${(ms / 1_000).toFixed(1)} s`.padStart(7);
  const where = [`invariant ${mutant.invariant}`, ...(mutant.boundary === undefined ? [] : [mutant.boundary])];
  return `${verdict.kind.padEnd(10)} ${took}  ${mutant.name} (${where.join(', ')})${detailOf(mutant, verdict)}`;
}

function detailOf(mutant: Mutant, verdict: Verdict): string {
  switch (verdict.kind) {
    case 'caught':
      return `\n${INDENT}by: ${oneLine(verdict.by)}`;
    case 'time limit':
      return `\n${INDENT}the tests did not end within ${Math.round(verdict.afterMs / 1_000)} s`;
    case 'survived':
      return `\n${INDENT}nobody noticed: ${mutant.bug}\n${INDENT}looked at by ${mutant.tests.join(', ')}`;
    case 'broken':
      return `\n${INDENT}no verdict: ${verdict.why.trim().replaceAll('\n', `\n${INDENT}`)}`;
  }
}

const INDENT = ' '.repeat(20);
const oneLine = (text: string): string => text.replace(/\s+/g, ' ').slice(0, 160);

/** Totals, by area and over all. */
export function summaryOf(judged: readonly Judged[]): string[] {
  const areas = [...new Set(judged.map(({ mutant }) => mutant.area)), 'all'] as const;
  return areas.map((area) => {
    const of = judged.filter(({ mutant }) => area === 'all' || mutant.area === area);
    const count = (kind: Verdict['kind']): number => of.filter(({ verdict }) => verdict.kind === kind).length;
    const late = count('time limit') > 0 ? ` (${count('time limit')} of them by the time limit)` : '';
    const broken = count('broken') > 0 ? `, ${count('broken')} without a verdict` : '';
    const share = of.length === 0 ? '' : ` = ${((100 * of.filter(isCaught).length) / of.length).toFixed(1)} %`;
    return `${area}: ${of.filter(isCaught).length} of ${of.length} caught${share}${late}, ${count('survived')} survived${broken}`;
  });
}
