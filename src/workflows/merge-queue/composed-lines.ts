/** What a gate has merged on the tip that it knows, so that no line is merged twice. No await. */
import type { ComposeResult } from '../../shared/contracts/compose.ts';
import type { MergeAnswer } from '../../shared/contracts/merge.ts';
import { type Line, startsWith } from '../../shared/merge-queue/line.ts';

/** A line with its commit. `answer` is that of its last request once the branch contains the commit. */
export type Composed = { line: string[]; commit: string; ref: string; answer: MergeAnswer };

export class ComposedLines {
  /** The branch's tip that all of them stand on. */
  base: string | undefined;
  /** Whether anything has ever been merged, be it before the queue continued as new. */
  hasMerged: boolean;
  private lines: Composed[] = [];
  /** Refs on the remote that are to be deleted when nothing needs them. */
  private refs = new Set<string>();

  constructor(base?: string) {
    this.base = base;
    this.hasMerged = base !== undefined;
  }

  find(line: Line): Composed | undefined {
    return this.lines.find((other) => other.line.length === line.length && startsWith(line, other.line));
  }

  /** The longest beginning of `line` that has been merged. */
  beginningOf(line: Line): Composed | undefined {
    return this.lines
      .filter((other) => startsWith(line, other.line))
      .reduce<Composed | undefined>(
        (best, each) => (best && best.line.length >= each.line.length ? best : each),
        undefined,
      );
  }

  /** @returns the line as far as it could be merged, with what was set aside or decided; it need not be found then. */
  add(before: Line, { base, ref, steps }: ComposeResult) {
    this.base = base;
    this.hasMerged = true;
    let line = [...before];
    // What came to be merged without a request before it may be a line that is known already, as another commit. That
    // one may have been checked: it stays, and the rest has to be merged onto it.
    let isNew = true;
    for (const step of steps) {
      if (step.kind !== 'merged') continue;
      line = [...line, step.id];
      const { commit } = step.outcome;
      isNew &&= this.find(line) === undefined;
      if (isNew) this.lines.push({ line, commit, ref, answer: { id: step.id, outcome: step.outcome } });
    }
    if (steps.some(({ kind }) => kind === 'merged')) this.refs.add(ref);
    return {
      line,
      aside: steps.flatMap((step) => (step.kind === 'aside' ? [step.id] : [])),
      decided: steps.flatMap(({ id, ...step }) => (step.kind === 'decided' ? [{ id, outcome: step.outcome }] : [])),
    };
  }

  answersTo(line: Line): MergeAnswer[] {
    return line.flatMap((_, i) => this.find(line.slice(0, i + 1))?.answer ?? []);
  }

  /** @returns the refs that nothing needs after `line` has landed. */
  refsWithout(line: Line): string[] {
    const needed = new Set(this.lines.filter((each) => this.isBeyond(each.line, line)).map(({ ref }) => ref));
    return [...this.refs].filter((ref) => !needed.has(ref));
  }

  landed(line: Line, commit: string): void {
    for (const ref of this.refsWithout(line)) this.refs.delete(ref);
    this.lines = this.lines
      .filter((each) => this.isBeyond(each.line, line))
      .map((each) => ({ ...each, line: each.line.slice(line.length) }));
    this.base = commit;
  }

  /** The branch is somewhere else: nothing that was merged stands on it. */
  moved(): void {
    this.base = undefined;
    this.lines = [];
  }

  private isBeyond(line: Line, landed: Line): boolean {
    return line.length > landed.length && startsWith(line, landed);
  }
}
