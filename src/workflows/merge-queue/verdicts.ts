/** What checks say of a line, for the gate; and what of a red branch is known, so that fixes of a part can land. */
import type { MergeActivities } from '../../shared/contracts/activities.ts';
import type { CheckRun, ChecksRequest, ChecksResult } from '../../shared/contracts/checks.ts';
import type { GateTerms } from '../../shared/contracts/gate.ts';
import type { MergeRequest } from '../../shared/contracts/merge.ts';
import type { RepositoryRef } from '../../shared/contracts/run.ts';
import { isBetter } from '../../shared/merge-queue/better.ts';
import type { GateState, Verdict } from '../../shared/merge-queue/gate.ts';
import { failureReport, MERGE_TEXT } from '../../shared/merge-queue/text.ts';

/** What a gate does to the world. Given by the workflow; by a model of the world in a simulation. */
export type GateEffects = Pick<MergeActivities, 'composeLine' | 'landLine'> & {
  /** @param summary what of it is shown to people. */
  runChecks(request: ChecksRequest, summary: string): Promise<ChecksResult>;
  /** Begins what can be cancelled: an effect that it waits for then throws what `isCancellation` knows. */
  cancellable(work: () => Promise<void>): { cancel(): void };
  isCancellation(error: unknown): boolean;
  log: Record<'info' | 'warn', (message: string, about: Record<string, unknown>) => void>;
};

type Judged = {
  /** Empty: the tip alone. */
  line: readonly string[];
  /** Whose checks are run. */
  requests: readonly MergeRequest[];
  commit: string;
  ref: string;
  base: string | undefined;
  /** How the tip stands, asked when the checks have run too. */
  tip: () => GateState['tip'];
};

export class GateVerdicts {
  /** What failed on the tip, while that is red. */
  private tipChecks: readonly CheckRun[] = [];
  /** Commits that a red branch gets better by, though not whole. */
  private readonly partial = new Set<string>();
  private readonly repo: RepositoryRef;
  private readonly effects: Pick<GateEffects, 'runChecks' | 'log'>;

  constructor(repo: RepositoryRef, effects: Pick<GateEffects, 'runChecks' | 'log'>) {
    this.repo = repo;
    this.effects = effects;
  }

  /** @throws when a check could not be run: that is no verdict. */
  async on({ line, requests, commit, ref, base, tip }: Judged): Promise<Verdict> {
    const { repo } = this;
    const summary = line.length === 0 ? `the tip ${commit.slice(0, 10)}` : `${line.length} on ${base?.slice(0, 10)}`;
    const since = tip() === 'green' && base !== undefined && line.length > 0 ? { since: base } : {};
    // Where the branch is red, what is left counts: a fix need not mend all of it.
    const first = line.length > 0 && this.tipChecks.length === 0;
    const failed: CheckRun[] = [];
    let passed = true;
    for (const { checks, setup } of termsOf(requests)) {
      const request = { repo, commit, ref, checks, setup, first, ...since };
      const result = await this.effects.runChecks(request, summary);
      switch (result.verdict) {
        case 'passed':
          continue;
        case 'failed': {
          passed = false;
          failed.push(...result.checks);
          if (first) return { passed, report: failureReport(result) };
          continue;
        }
        case 'could-not-run':
          throw new Error(result.reason);
        case 'none':
          throw new Error(MERGE_TEXT.nothingToCheck);
      }
    }
    if (passed) return { passed, report: '' };
    if (line.length === 0) {
      this.tipChecks = failed;
    } else if (tip() === 'red' && requests.every(({ fix }) => fix === true) && isBetter(failed, this.tipChecks)) {
      this.effects.log.info('a fix makes the branch better, though not whole', { commit });
      this.partial.add(commit);
      return { passed: true, report: '' };
    }
    return { passed, report: failureReport({ checks: failed }) };
  }

  isPartial(commit: string): boolean {
    return this.partial.has(commit);
  }

  /** The branch is somewhere else. */
  forget(): void {
    this.tipChecks = [];
    this.partial.clear();
  }
}

function termsOf(requests: readonly MergeRequest[]): GateTerms[] {
  const distinct = new Map<string, GateTerms>();
  for (const { gate } of requests) {
    if (gate !== undefined) distinct.set(JSON.stringify([gate.checks, gate.setup]), gate);
  }
  return [...distinct.values()];
}
