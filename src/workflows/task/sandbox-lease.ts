/**
 * A task's hold on a sandbox, as in Go's Temporal sessions. Invariants:
 * 1. At most one lease activity is awaited at a time; each has an epoch of its own, counting up.
 * 2. A lost lease is first adopted on its old host, once; else a new sandbox is leased.
 * 3. It ends only after `release`, which waits until the sandbox was given back: never with an open activity.
 */
import { ApplicationFailure, CancellationScope, condition, isCancellation, log, sleep } from '@temporalio/workflow';
import type { HoldRequest, HoldResult, LeasedMessage } from '../../shared/contracts/sandbox.ts';
import { FailureType, failureTypeOf, rootMessage, terminal } from '../../shared/base/failures.ts';
import { refComponent } from '../../shared/base/ids.ts';
import { adoptOptions, holdOptions, sandboxActivities } from '../support/activity-policies.ts';
import { waitUnlessOrphaned } from '../support/orphans.ts';

export type LeaseEnd = { kind: 'released' } | { kind: 'orphaned' } | { kind: 'failed'; error: unknown };

/** Failures that another attempt on another sandbox does not mend. */
const HOPELESS: readonly string[] = [
  FailureType.SetupFailed,
  FailureType.SandboxUnavailable,
  FailureType.RepositoryUnusable,
  FailureType.BadInput,
];
const MAX_FAILURES = 10;

export class Lease {
  current: LeasedMessage | undefined;
  end: LeaseEnd | undefined;
  private epoch: number;
  private released = false;
  private orphaned = false;
  private readonly scope = new CancellationScope({ cancellable: false });
  private holding: CancellationScope | undefined;
  private done: Promise<void> | undefined;
  private readonly request: Omit<HoldRequest, 'epoch'>;
  private readonly queue: string;
  private readonly priorityKey: number;
  private readonly fairnessKey: string;
  private readonly onLeased: (leased: LeasedMessage) => Promise<void>;

  constructor(options: {
    request: Omit<HoldRequest, 'epoch'>;
    queue: string;
    priority: number;
    /** Epochs go on counting over a task's leases: the last one that was used. */
    epoch: number;
    onLeased: (leased: LeasedMessage) => Promise<void>;
  }) {
    this.request = options.request;
    this.queue = options.queue;
    this.epoch = options.epoch;
    this.priorityKey = Math.ceil(options.priority / 2);
    // At most 64 bytes: longer ones fail the workflow task.
    this.fairnessKey = refComponent(options.request.run.root.workflowId).slice(-64);
    this.onLeased = options.onLeased;
  }

  /** The signal `leased`; one of an epoch that is no longer awaited is dropped. */
  async leased(message: LeasedMessage): Promise<void> {
    if (message.sandbox.epoch !== this.epoch || this.released) return;
    this.current = message;
    await this.onLeased(message);
  }

  get lastEpoch(): number {
    return this.epoch;
  }

  open(): void {
    this.done = this.scope.run(() => this.keep());
  }

  /** Resolves with the sandbox, or with how the lease ended before there was one. */
  async ready(): Promise<LeasedMessage | LeaseEnd> {
    await condition(() => this.current !== undefined || this.end !== undefined);
    return this.current ?? this.end ?? { kind: 'released' };
  }

  /** Resolves when the lease has ended for good. */
  async whenEnded(): Promise<LeaseEnd> {
    await condition(() => this.end !== undefined);
    return this.end ?? { kind: 'released' };
  }

  /** Waits for a lease newer than `epoch`, or the end, for so long at most. */
  async another(epoch: number, atMost: '30s' | '2h'): Promise<void> {
    await condition(() => (this.current?.sandbox.epoch ?? 0) > epoch || this.end !== undefined, atMost);
  }

  /** Gives the sandbox back and waits for it; not interrupted by a cancellation of the task. */
  async release(): Promise<void> {
    this.released = true;
    this.holding?.cancel();
    await CancellationScope.nonCancellable(async () => this.done);
  }

  private async keep(): Promise<void> {
    let adopt = false;
    let failures = 0;
    while (!this.released) {
      this.epoch += 1;
      const adopting = adopt ? this.current : undefined;
      adopt = false;
      try {
        const result = await this.holdOnce(adopting);
        if (result.end === 'orphaned') {
          this.end = { kind: 'orphaned' };
          return;
        }
        if (this.released) break;
        log.warn('sandbox is gone; leasing another', { sandbox: this.current?.sandbox.id });
      } catch (error) {
        if (this.orphaned) {
          this.end = { kind: 'orphaned' };
          return;
        }
        if (this.released) break;
        if (isCancellation(error)) log.warn('a lease was cancelled from outside; leasing another');
        const type = failureTypeOf(error);
        if (type !== undefined && HOPELESS.includes(type)) {
          this.end = { kind: 'failed', error };
          return;
        }
        if (this.current?.sandbox.epoch === this.epoch) {
          adopt = true;
          failures = 0;
        } else if (adopting === undefined) {
          failures += 1;
          if (failures >= MAX_FAILURES) {
            this.end = { kind: 'failed', error };
            return;
          }
          await sleep(Math.min(30_000, 1_000 * 2 ** failures));
        }
        log.warn('lease lost', { epoch: this.epoch, adopt, reason: rootMessage(error) });
      }
    }
    this.end = { kind: 'released' };
  }

  private async holdOnce(adopting: LeasedMessage | undefined): Promise<HoldResult> {
    const request = { ...this.request, epoch: this.epoch };
    const summary = `${adopting === undefined ? 'sandbox' : `adopt ${adopting.sandbox.id}`} (lease ${this.epoch})`;
    const holding = new CancellationScope();
    this.holding = holding;
    const watch = new CancellationScope();
    void watch.run(() => this.watchWhileWaiting(request.epoch, holding)).catch(() => undefined);
    try {
      return await this.hold(holding, request, adopting, summary);
    } finally {
      watch.cancel();
    }
  }

  /** Slots may be taken for hours: until there is a sandbox, nobody else sees that its run has ended. */
  private async watchWhileWaiting(epoch: number, holding: CancellationScope): Promise<void> {
    const leased = () => this.released || this.current?.sandbox.epoch === epoch;
    const ended = await waitUnlessOrphaned(this.request.ancestors, leased);
    if (ended === undefined) return;
    this.orphaned = true;
    holding.cancel();
  }

  private async hold(
    holding: CancellationScope,
    request: HoldRequest,
    adopting: LeasedMessage | undefined,
    summary: string,
  ): Promise<HoldResult> {
    return await holding.run(() =>
      adopting === undefined
        ? sandboxActivities(this.queue, {
            ...holdOptions,
            summary,
            priority: { priorityKey: this.priorityKey, fairnessKey: this.fairnessKey },
          }).holdSandbox(request)
        : sandboxActivities(adopting.sandbox.queue, { ...adoptOptions, summary }).adoptSandbox({
            ...request,
            sandbox: adopting.sandbox,
          }),
    );
  }
}

const isLeased = (ready: LeasedMessage | LeaseEnd): ready is LeasedMessage => 'sandbox' in ready;

/** @throws why there is no sandbox. */
export function leasedOrThrow(ready: LeasedMessage | LeaseEnd): LeasedMessage {
  if (isLeased(ready)) return ready;
  if (ready.kind === 'failed')
    throw ready.error instanceof Error ? ready.error : new ApplicationFailure(String(ready.error));
  if (ready.kind === 'orphaned') throw terminal(FailureType.Orphaned, 'The run that this task works for has ended.');
  throw terminal(FailureType.SandboxGone, 'The sandbox was given back before the work in it was collected.');
}
