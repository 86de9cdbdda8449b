/**
 * The newest messages of each agent, as this process made them: answers by `think`, results by `act`. Most often
 * these are just what the next call lacks, and no query is needed. A hint only: the workflow's own digest decides
 * whether they are what it has in its history.
 */
import { LRUCache } from 'lru-cache';
import type { Message } from '../../shared/contracts/agent.ts';

/** `runId` is in the key because a reset gives the same chain another history. */
type Execution = { workflowId: string; runId: string };

const MAX_AGENTS = 2_000;
/** The results of one turn, the answer to them, and the results of that. */
const KEPT = 3;

export class RecentMessages {
  readonly #made = new LRUCache<string, readonly Message[]>({ max: MAX_AGENTS });

  add(agent: Execution, message: Message): void {
    const key = `${agent.runId}/${agent.workflowId}`;
    this.#made.set(key, [...this.of(agent), message].slice(-KEPT));
  }

  /** Oldest first. */
  of(agent: Execution): readonly Message[] {
    return this.#made.get(`${agent.runId}/${agent.workflowId}`) ?? [];
  }
}
