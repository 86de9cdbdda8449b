/** How the workflows that an agent works for stand on the server. A describe takes about 5 ms; cached. */
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, type WorkflowExecutionDescription, WorkflowNotFoundError } from '@temporalio/client';
import { LRUCache } from 'lru-cache';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { Chain } from '../../shared/base/ids.ts';
import { PAUSED_MEMO } from '../../shared/messages.ts';

export type AncestorCheck =
  | { kind: 'running'; paused: boolean }
  /** This one no longer runs as the chain that started the work: whoever works for it is an orphan. */
  | { kind: 'orphaned'; by: Chain; status: string };

export interface ChainWatch {
  /**
   * `ancestors` from the root planner down. Answers from a cache of 30 s unless `fresh`; of 1 s for the root, which
   * all agents of a run share and which a person pauses.
   */
  check(ancestors: readonly Chain[], options?: { fresh?: boolean }): Promise<AncestorCheck>;
}

/** The chain that a described run is of. An old server leaves it empty: a run that never continued as new is its own. */
export function firstRunOf({ raw, runId }: WorkflowExecutionDescription): string {
  const first = raw.workflowExecutionInfo?.firstRunId;
  return first != null && first !== '' ? first : runId;
}

type Standing = { firstRunId: string; status: string; paused: boolean };
type Entry = { at: number; standing: Promise<Standing | null> };

export function createChainWatch(
  client: Client,
  options: { cacheMs?: number; rootCacheMs?: number; now?: () => number } = {},
): ChainWatch {
  const { cacheMs = 30_000, rootCacheMs = Math.min(1_000, cacheMs), now = Date.now } = options;
  const cache = new LRUCache<string, Entry>({ max: 5_000 });

  async function describe(workflowId: string): Promise<Standing | null> {
    try {
      const found = await client.workflow.getHandle(workflowId).describe();
      return {
        firstRunId: firstRunOf(found),
        status: found.status.name,
        paused: found.memo?.[PAUSED_MEMO] != null && found.memo[PAUSED_MEMO] !== false,
      };
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return null;
      throw error;
    }
  }

  function standingOf(workflowId: string, maxAgeMs: number): Promise<Standing | null> {
    const cached = cache.get(workflowId);
    if (cached !== undefined && now() - cached.at < maxAgeMs) return cached.standing;
    const standing = describe(workflowId);
    const entry = { at: now(), standing };
    cache.set(workflowId, entry);
    standing.catch(() => {
      if (cache.peek(workflowId) === entry) cache.delete(workflowId);
    });
    return standing;
  }

  return {
    async check(ancestors, { fresh = false } = {}) {
      const known = await judge(ancestors, fresh);
      // A cached answer may be about the chain that had the id before: only a fresh one makes an orphan.
      return known.kind === 'orphaned' && !fresh ? await judge(ancestors, true) : known;
    },
  };

  async function judge(ancestors: readonly Chain[], fresh: boolean): Promise<AncestorCheck> {
    const standings = await Promise.all(
      ancestors.map(({ workflowId }, i) => standingOf(workflowId, fresh ? 0 : i === 0 ? rootCacheMs : cacheMs)),
    );
    for (const [i, chain] of ancestors.entries()) {
      const standing = standings[i];
      if (standing == null) return { kind: 'orphaned', by: chain, status: 'not found' };
      if (standing.firstRunId !== chain.firstRunId) return { kind: 'orphaned', by: chain, status: 'started anew' };
      if (ENDED.has(standing.status)) return { kind: 'orphaned', by: chain, status: standing.status };
    }
    return { kind: 'running', paused: standings[0]?.paused ?? false };
  }
}

const PAUSE_CHECK_MS = 3_000;

/**
 * Before a call of a model: waits while the run is paused. Rejects with the signal's reason.
 * @throws terminal Orphaned when an ancestor no longer runs as the chain that started it.
 */
export async function waitUntilWanted(
  chains: ChainWatch,
  ancestors: readonly Chain[],
  { signal, onPaused }: { signal: AbortSignal; onPaused?: () => void },
): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const check = await chains.check(ancestors);
    if (check.kind === 'orphaned') throw orphaned(check);
    if (!check.paused) return;
    onPaused?.();
    await sleep(PAUSE_CHECK_MS, signal);
  }
}

export const orphaned = ({ by, status }: Extract<AncestorCheck, { kind: 'orphaned' }>): Error =>
  terminal(FailureType.Orphaned, `The LLM call was not made: ${by.workflowId}, which it was for, is ${status}.`);

/** Rejects with the signal's reason; Node's own wraps it. */
async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw error;
  });
}

/** Any other status, also one that this code does not know, is of a workflow that goes on. */
const ENDED: ReadonlySet<string> = new Set(['COMPLETED', 'FAILED', 'CANCELLED', 'TERMINATED', 'TIMED_OUT']);
