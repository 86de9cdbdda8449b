/** Lands lines that have passed their checks, and tells the gate what came of it. */
import { mayBeOfOneChange } from '../../shared/contracts/merge.ts';
import { FailureType, rootMessage, terminal } from '../../shared/base/failures.ts';
import type { GatedBranch } from './gated-branch.ts';

export class LineLandings {
  isBusy = false;
  private readonly branch: GatedBranch;
  private readonly onNews: () => void;

  constructor(branch: GatedBranch, onNews: () => void) {
    this.branch = branch;
    this.onNews = onNews;
  }

  /** Never rejects. */
  async land(line: readonly string[]): Promise<void> {
    const { branch } = this;
    this.isBusy = true;
    try {
      await branch.exclusively(() => this.push(line));
    } catch (error) {
      if (branch.effects.isCancellation(error)) return;
      branch.giveUp(rootMessage(error));
    } finally {
      this.isBusy = false;
      this.onNews();
    }
  }

  private async push(line: readonly string[]): Promise<void> {
    const { lines, gate, queue, verdicts, effects } = this.branch;
    // While it waited for its turn, the branch was found to be somewhere else.
    if (gate.seen.landing !== line) return;
    const composed = lines.find(line);
    const { base } = lines;
    if (composed === undefined || base === undefined) {
      throw terminal(FailureType.Invariant, `the line ${line.join(', ')} is to land and was never merged`);
    }
    const answers = lines.answersTo(line);
    const drop = [...this.branch.requestsOf(line).map(({ ref }) => ref), ...lines.refsWithout(line)];
    const { commit, ref } = composed;
    const result = await effects.landLine({ ...this.branch.at, base, commit, ref, drop });
    switch (result.kind) {
      case 'landed':
        queue.settle(answers);
        lines.landed(line, commit);
        if (verdicts.isPartial(commit)) {
          gate.landed('unknown');
        } else {
          gate.landed();
          // Its checks have passed as a whole, whatever was wrong before.
          queue.thaw('reconciler');
        }
        verdicts.forget();
        if (result.tip !== commit) this.branch.moved();
        return;
      case 'overtaken':
        this.branch.moved();
        return;
      case 'refused': {
        const { reason, because } = result;
        if (line.length > 1 && mayBeOfOneChange(because)) gate.divide(reason);
        else this.branch.refused(line, { kind: 'refused', reason, because });
      }
    }
  }
}
