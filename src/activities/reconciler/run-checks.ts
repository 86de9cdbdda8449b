/**
 * The checks of one commit. Invariants:
 * 1. `passed` only when every check ran to its end and exited 0.
 * 2. What is the machine's fault or the network's is `could-not-run` or a failure of the activity, never `failed`.
 */
import { Context } from '@temporalio/activity';
import type { Check } from '../../shared/contracts/check-settings.ts';
import type { CheckActivities } from '../../shared/contracts/activities.ts';
import type { CheckRun, ChecksRequest, ChecksResult } from '../../shared/contracts/checks.ts';
import { detectChecks } from '../../shared/reconciler/detect-checks.ts';
import { FailureType, failureTypeOf, rootMessage } from '../../shared/base/failures.ts';
import type { Mirror, Mirrors } from '../git/contract.ts';
import { type Beats, heartbeating, throwIfCancelled } from '../support/heartbeats.ts';
import type { Log } from '../support/log.ts';
import { readRootFiles } from '../run/root-files.ts';
import type { Scratch } from '../sandbox/scratch.ts';
import type { SetupResult } from '../sandbox/setup-install.ts';
import { checkMarkers } from './markers.ts';
import { unparsedError } from './parsers/index.ts';
import { runCheck } from './run-check.ts';

/** A check that runs hears of a cancellation with the answer to a heartbeat. */
const BEAT_MS = 1_000;

export type ChecksDeps = { mirrors: Mirrors; scratch: Scratch; log: Log };

/** @returns `runChecks` of CheckActivities. */
export function createRunChecks({ mirrors, scratch, log }: ChecksDeps): CheckActivities['runChecks'] {
  const checked = async (request: ChecksRequest, beats: Beats): Promise<ChecksResult> => {
    beats.beat({ doing: 'reading the commit' });
    const mirror = await mirrors.open(request.repo);
    await mirror.ensureCommit(request.commit, request.ref);
    if (request.since !== undefined) await mirror.ensureCommit(request.since, request.ref);
    const result = await new Run(scratch, mirror, request, beats).run();
    await throwIfCancelled(beats.signal);
    const { verdict, commit, checks } = result;
    const shown = checks.map(({ name, status }) => ({ name, status }));
    log.info({ repo: mirror.repo.key, commit, verdict, checks: shown }, 'checks have run');
    return result;
  };
  return (request) =>
    heartbeating((beats) => scratch.inPlace(() => checked(request, beats), beats.signal), {
      details: { doing: 'waiting for a place on this host' },
      everyMs: BEAT_MS,
    });
}

class Run {
  private readonly scratch: Scratch;
  private readonly mirror: Mirror;
  private readonly request: ChecksRequest;
  private readonly signal: AbortSignal;
  private readonly beat: (details: unknown) => void;
  private readonly checks: CheckRun[] = [];

  constructor(scratch: Scratch, mirror: Mirror, request: ChecksRequest, beats: Beats) {
    this.scratch = scratch;
    this.mirror = mirror;
    this.request = request;
    this.signal = beats.signal;
    this.beat = beats.beat;
  }

  async run(): Promise<ChecksResult> {
    const { mirror, signal, request } = this;
    const { commit, since } = request;
    const checks = request.checks === 'detect' ? detectChecks(await readRootFiles(mirror, commit)) : request.checks;
    this.checks.push(await checkMarkers(mirror, commit, since, signal));
    if (checks.length === 0) return this.end(this.failed ? 'failed' : 'none');
    if (this.failed && request.first === true) return this.end('failed');
    this.beat({ doing: 'setup' });
    const prepared = await this.prepare();
    if ('verdict' in prepared) return prepared;
    return await this.inSandbox(checks, prepared.setup);
  }

  private async inSandbox(checks: readonly Check[], prepared: SetupResult | undefined): Promise<ChecksResult> {
    const { mirror, signal, request } = this;
    this.beat({ doing: 'checking out' });
    const { workflowExecution } = Context.current().info;
    const holder = {
      workflowId: workflowExecution?.workflowId ?? 'none',
      firstRunId: workflowExecution?.runId ?? 'none',
    };
    try {
      return await this.scratch.open({ mirror, commit: request.commit, prepared, holder, signal }, async (sandbox) => {
        for (const check of checks) {
          this.beat({ doing: check.name });
          const ran = await runCheck(sandbox, check, signal);
          if ('missing' in ran) return this.couldNotRun(MISSING(check, ran.missing));
          this.checks.push(ran);
          if (this.failed && request.first === true) break;
        }
        return this.end(this.failed ? 'failed' : 'passed');
      });
    } catch (error) {
      if (failureTypeOf(error) === FailureType.SandboxUnavailable) return this.couldNotRun(rootMessage(error));
      throw error;
    }
  }

  /** A `setup` that fails here and works on the sound commit was broken by what came since. */
  private async prepare(): Promise<{ setup: SetupResult | undefined } | ChecksResult> {
    const { mirror, signal, request } = this;
    const { setup, commit, since } = request;
    if (setup === null) return { setup: undefined };
    const startedAt = Date.now();
    try {
      return { setup: await this.scratch.prepare(setup, mirror, commit, signal) };
    } catch (error) {
      if (failureTypeOf(error) !== FailureType.SetupFailed) throw error;
      const reason = rootMessage(error);
      if (since === undefined || since === commit || !(await this.works(since))) return this.couldNotRun(reason);
      this.checks.push({
        name: 'setup',
        command: setup.command,
        status: 'failed',
        durationMs: Date.now() - startedAt,
        errors: [unparsedError('setup', reason, 'setup works before these changes, and not with them')],
        tail: reason.slice(-4_000),
      });
      return this.end('failed');
    }
  }

  private async works(commit: string): Promise<boolean> {
    const { mirror, signal, request } = this;
    if (request.setup === null) return true;
    try {
      await this.scratch.prepare(request.setup, mirror, commit, signal);
      return true;
    } catch (error) {
      if (failureTypeOf(error) === FailureType.SetupFailed) return false;
      throw error;
    }
  }

  private get failed(): boolean {
    return this.checks.some(({ status }) => status !== 'passed');
  }

  private end(verdict: 'passed' | 'failed' | 'none'): ChecksResult {
    return { verdict, commit: this.request.commit, checks: this.checks };
  }

  private couldNotRun(reason: string): ChecksResult {
    return { verdict: 'could-not-run', commit: this.request.commit, checks: this.checks, reason };
  }
}

const MISSING = ({ name, command }: Check, program: string): string =>
  `The check "${name}" could not be run: \`${command}\` needs ${program}, which no worker's sandbox has. Install it on the workers' hosts, or correct the check in agentswarm.json.`;
