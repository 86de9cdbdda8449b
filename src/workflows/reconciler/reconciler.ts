/**
 * One sweep of a run's target: the checks of its tip, and what is to be done about them. Invariants:
 * 1. What could not be checked is `unknown`, never green; a red sweep that a landing overtook is made again.
 * 2. The green ref moves only to a commit whose checks have all passed.
 * 3. Its planner is told once, by the signal `swept`; the result of this workflow says the same.
 */
import { getExternalWorkflowHandle, isCancellation, log, setCurrentDetails, setHandler } from '@temporalio/workflow';
import type { CheckError, CheckRun, ChecksResult } from '../../shared/contracts/checks.ts';
import type { BranchHealth } from '../../shared/contracts/gate.ts';
import { ReconcilerInput, type SweepMemory, type SweepResult } from '../../shared/contracts/sweep.ts';
import { NO_METRICS } from '../../shared/contracts/task.ts';
import {
  digestsOf,
  isInherited,
  errorsOf,
  judgeErrors,
  lastingErrors,
  MAX_STALE,
  nextInterval,
  withFiled,
} from '../../shared/reconciler/judge.ts';
import { fewerTests, testsOf } from '../../shared/reconciler/sweep-tests.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { sweptSignal, transcriptQuery } from '../../shared/messages.ts';
import { SWEEP_TEXT } from '../../shared/reconciler/text.ts';
import { checkActivities, enqueueActivities, sweepActivities } from '../support/activity-policies.ts';
import { ownChain } from '../agent/think.ts';
import { parseInput } from '../support/input.ts';
import { queueNames } from '../support/queues.ts';
import { FixSearch } from './fix-search.ts';

/** Of a result, which goes into a signal and a planner's state. */
const ERRORS_TOLD = 20;

export async function reconciler(raw: ReconcilerInput): Promise<SweepResult> {
  return await new Sweep(parseInput(ReconcilerInput, raw, 'reconciler')).run();
}

class Sweep {
  private readonly input: ReconcilerInput;
  private readonly chain = ownChain();
  private readonly fixes: FixSearch;
  private memory: SweepMemory;
  /** Fixes of an earlier sweep are at work. */
  private waits = false;

  constructor(input: ReconcilerInput) {
    this.input = input;
    this.memory = { ...input.memory, number: input.memory.number + 1 };
    this.fixes = new FixSearch(input);
    setHandler(transcriptQuery, (range) => this.fixes.messages.slice(range?.from ?? 0, range?.to));
  }

  async run(): Promise<SweepResult> {
    const result = await this.sweep();
    await this.tellQueue(result);
    result.memory = this.memory;
    log.info('swept', { verdict: result.verdict, commit: result.commit, fixes: result.fixes.map(({ id }) => id) });
    try {
      const id = `${this.chain.firstRunId}/swept`;
      const parent = getExternalWorkflowHandle(this.input.parent.workflowId);
      await parent.signal(sweptSignal, { id, sender: this.chain, result });
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the planner could not be told of a sweep', { reason: rootMessage(error) });
    }
    return result;
  }

  private async sweep(): Promise<SweepResult> {
    const { run } = this.input;
    const seen: CheckError[][] = [];
    for (let sweeps = 1; ; sweeps++) {
      const { tip, green } = await this.tip();
      const since = green ?? run.base;
      const result = await this.check(tip, since);
      if (typeof result === 'string')
        return this.result('unknown', { commit: tip, reason: SWEEP_TEXT.couldNotRun(tip, result) });
      setCurrentDetails(SWEEP_TEXT.details(tip, result));
      switch (result.verdict) {
        case 'passed':
          return await this.green(tip, result.checks);
        case 'none':
          return this.result('none', { commit: tip });
        case 'could-not-run':
          return this.result('unknown', { commit: tip, reason: SWEEP_TEXT.couldNotRun(tip, result.reason) });
        case 'failed':
          break;
      }
      seen.push(errorsOf(result.checks));
      if ((await this.tip()).tip === tip) return await this.red(tip, since, errorsOf(result.checks), result.checks);
      if (sweeps < MAX_STALE) continue;
      const lasting = lastingErrors(seen);
      if (lasting.length > 0) return await this.red(tip, since, lasting, result.checks);
      return this.result('stale', { commit: tip, reason: SWEEP_TEXT.alwaysMoving(sweeps) });
    }
  }

  /** While fixes are under way nothing else lands on a red branch; nobody keeps it frozen for longer. */
  private async tellQueue({ verdict, commit, reason = '', fixes }: SweepResult): Promise<void> {
    const { run, parent: by } = this.input;
    const { repo, target } = run;
    const freezes = verdict === 'red' && (fixes.length > 0 || this.waits);
    if (!freezes && verdict !== 'green' && this.memory.frozen !== true) return;
    const health: BranchHealth =
      commit === undefined || (!freezes && verdict !== 'green')
        ? { kind: 'unknown', by }
        : freezes
          ? { kind: 'red', commit, reason: SWEEP_TEXT.red(target, reason).slice(0, 2_000), by }
          : { kind: 'green', commit };
    const { frozen: _, ...memory } = this.memory;
    this.memory = health.kind === 'red' ? { ...memory, frozen: true } : memory;
    try {
      await enqueueActivities.tellHealth({ repo, target, health });
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the merge queue could not be told of a sweep', { reason: rootMessage(error) });
    }
  }

  private async tip() {
    const { repo, target } = this.input.run;
    return await sweepActivities.readTip({ repo, branch: target });
  }

  /** A run of the checks, or why there is none. */
  private async check(commit: string, since?: string): Promise<ChecksResult | string> {
    const { repo, target, settings } = this.input.run;
    const { checks, setup } = settings;
    try {
      return await checkActivities(queueNames().reserved, `checks of ${commit.slice(0, 10)}`).runChecks({
        repo,
        commit,
        ref: `refs/heads/${target}`,
        checks: checks.length > 0 ? checks : 'detect',
        setup,
        ...(since === undefined ? {} : { since }),
      });
    } catch (error) {
      if (isCancellation(error)) throw error;
      return rootMessage(error);
    }
  }

  private async green(commit: string, checks: CheckRun[]): Promise<SweepResult> {
    const { run } = this.input;
    const { green: before } = this.memory;
    const warnings = fewerTests(before?.tests ?? {}, checks).map(({ check, before: counts, now }) =>
      now === undefined
        ? SWEEP_TEXT.noLongerRun(check, before?.commit ?? '')
        : SWEEP_TEXT.fewerTests(check, counts, before?.commit ?? '', now),
    );
    try {
      await sweepActivities.moveGreen({ repo: run.repo, branch: run.target, commit });
    } catch (error) {
      if (isCancellation(error)) throw error;
      warnings.push(SWEEP_TEXT.greenNotMoved(rootMessage(error)));
    }
    this.memory = {
      ...this.memory,
      ...nextInterval(this.memory, 'green'),
      filed: [],
      green: { commit, tests: testsOf(checks) },
    };
    return this.result('green', { commit, warnings });
  }

  private async red(commit: string, since: string, errors: CheckError[], checks: CheckRun[]): Promise<SweepResult> {
    const { tried, fix } = this.input;
    const inherited = await this.inherited(commit, errors);
    this.memory = {
      ...this.memory,
      ...nextInterval(this.memory, 'red'),
      ...(inherited === undefined ? {} : { inherited }),
    };
    const filing = judgeErrors(errors, this.memory, tried);
    this.waits = filing.waiting.length > 0;
    const escalated = [...filing.escalate];
    let { filed } = filing;
    let found: Awaited<ReturnType<FixSearch['find']>> = { tasks: [], made: [], metrics: NO_METRICS };
    if (fix && filing.file.length > 0) {
      const number = this.memory.number;
      found = await this.fixes.find({ commit, since, errors: filing.file, checks, number });
      // With no task there is nothing to wait for: people are told.
      if (found.tasks.length === 0) escalated.push(...filing.file.map((error) => ({ error, tried: [] })));
      filed = withFiled(filed, found.made);
    }
    this.memory = { ...this.memory, filed };
    const reason = SWEEP_TEXT.failed(commit, errors, checks);
    return this.result('red', {
      commit,
      ...(isInherited(errors, this.memory) ? { inherited: true } : {}),
      reason,
      errors,
      fixes: found.tasks,
      escalated,
      metrics: found.metrics,
    });
  }

  /** What failed before the run began is not the run's to mend, unless it is there for that. */
  private async inherited(commit: string, errors: readonly CheckError[]): Promise<string[] | undefined> {
    const { run, all } = this.input;
    if (all || this.memory.inherited !== undefined) return undefined;
    if (commit === run.base) return digestsOf(errors);
    const before = await this.check(run.base);
    return typeof before === 'string' ? [] : digestsOf(errorsOf(before.checks));
  }

  private result(verdict: SweepResult['verdict'], rest: Partial<SweepResult>): SweepResult {
    const { errors = [], ...others } = rest;
    return {
      fixes: [],
      escalated: [],
      warnings: [],
      metrics: NO_METRICS,
      ...others,
      verdict,
      errors: errors.slice(0, ERRORS_TOLD),
      memory: this.memory,
    };
  }
}
