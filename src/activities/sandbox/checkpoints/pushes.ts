/** Checkpoints on the remote: at most one a minute for each sandbox, beside the agent's work, never in its way. */
import type { CommitSha } from '../../../shared/base/ids.ts';
import type { Mirror } from '../../git/contract.ts';
import type { Log } from '../../support/log.ts';

export interface CheckpointPushes {
  /** Whether the last push of this sandbox (or its start) is long enough ago. */
  due(id: string, createdAt: number): boolean;
  /** Pushes in the background. */
  begin(mirror: Mirror, push: { id: string; commit: CommitSha; ref: string }): void;
  /** Resolves when no push of this sandbox is under way: its ref is about to get something newer. */
  settled(id: string): Promise<void>;
  forget(id: string): void;
}

export function createCheckpointPushes(options: { log: Log; everyMs?: number; now?: () => number }): CheckpointPushes {
  const { log, everyMs = 60_000, now = Date.now } = options;
  const last = new Map<string, number>();
  const underWay = new Map<string, Promise<void>>();
  return {
    due: (id, createdAt) => !underWay.has(id) && now() - (last.get(id) ?? createdAt) >= everyMs,
    begin(mirror, { id, commit, ref }) {
      last.set(id, now());
      const push = mirror
        .pushWork(commit, ref)
        .catch((error: unknown) =>
          log.warn({ sandbox: id, ref, error: String(error) }, 'a checkpoint did not reach the remote'),
        )
        .finally(() => underWay.delete(id));
      underWay.set(id, push);
    },
    async settled(id) {
      await underWay.get(id);
    },
    forget(id) {
      last.delete(id);
    },
  };
}
