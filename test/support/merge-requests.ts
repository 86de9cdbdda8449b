import type { MergeRequest } from '../../src/shared/contracts/merge.ts';

export const SHA = 'a'.repeat(40);

/** What a task asks of its merge queue, where nobody looks at commits. */
export const mergeRequest = (id: string, more: Partial<MergeRequest> = {}): MergeRequest => ({
  id,
  requester: { workflowId: `run/${id}.1`, firstRunId: id },
  root: { workflowId: 'run', firstRunId: 'root' },
  commit: SHA,
  ref: `refs/agentswarm/runs/run/${id}.1`,
  base: SHA,
  priority: 5,
  subject: id,
  body: '',
  author: { name: 'A', email: 'a@localhost' },
  ...more,
});
