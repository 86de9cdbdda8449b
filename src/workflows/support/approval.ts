/** A task's side of an approval: asks the root of its run, waits for the verdict, asks again, notices that it is an orphan. */
import { getExternalWorkflowHandle, isCancellation, log } from '@temporalio/workflow';
import type { ApprovalRequest, ApprovalVerdict } from '../../shared/contracts/people.ts';
import { FailureType, rootMessage, terminal } from '../../shared/base/failures.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { approvalSignal } from '../../shared/messages.ts';
import { waitUnlessOrphaned } from './orphans.ts';

/** How many looks after its run until it asks again: a quarter of an hour at first. */
const ASK_AGAIN_AFTER_LOOKS = 20;

export class Approval {
  private readonly verdicts = new Map<string, ApprovalVerdict>();
  private readonly root: Chain;
  private readonly ancestors: Chain[];

  constructor(options: { root: Chain; ancestors: Chain[] }) {
    this.root = options.root;
    this.ancestors = options.ancestors;
  }

  answered(verdict: ApprovalVerdict): void {
    this.verdicts.set(verdict.id, verdict);
  }

  /** Resolves with the verdict, however long that takes. Throws Orphaned when the run has ended meanwhile. */
  async of(request: ApprovalRequest): Promise<ApprovalVerdict> {
    await askRoot(this.root, request);
    const lost = await waitUnlessOrphaned(
      this.ancestors,
      () => this.verdicts.has(request.id),
      async (looks) => {
        if (looks % ASK_AGAIN_AFTER_LOOKS === 0 && !this.verdicts.has(request.id)) await askRoot(this.root, request);
      },
    );
    if (lost !== undefined)
      throw terminal(FailureType.Orphaned, `"${lost.workflowId}" has ended; nobody is waited for any more.`);
    const verdict = this.verdicts.get(request.id);
    if (verdict === undefined) throw terminal(FailureType.Invariant, `the verdict on ${request.id} is gone`);
    return verdict;
  }
}

/** Sends a request to the root; one that could not be told is asked again later. */
export async function askRoot(root: Chain, request: ApprovalRequest): Promise<void> {
  try {
    await getExternalWorkflowHandle(root.workflowId).signal(approvalSignal, request);
  } catch (error) {
    if (isCancellation(error)) throw error;
    log.warn('the run could not be asked for approval', { run: root.workflowId, reason: rootMessage(error) });
  }
}
