/**
 * The newest turn of each agent, as this process made it: the answer by `think`, the results by `act`. Most often
 * these are just the messages that the next `think` lacks, and no query is needed. A hint only: the workflow's own
 * digest decides whether they are what it has in its history.
 */
import type { AssistantMessage, Message, ThinkRequest, ToolResult } from '../../shared/contracts/agent.ts';
import { tailDigest } from '../../shared/digest.ts';

/** `runId` is in the key because a reset gives the same chain another history. */
type Execution = { workflowId: string; runId: string };
type Turn = { turn: number; answer: AssistantMessage; results?: readonly ToolResult[] };

const MAX_AGENTS = 2_000;

export class RecentTurns {
  readonly #turns = new Map<string, Turn>();

  answered(agent: Execution, turn: number, answer: AssistantMessage): void {
    const key = keyOf(agent);
    this.#turns.delete(key);
    this.#turns.set(key, { turn, answer });
    const [oldest] = this.#turns.keys();
    if (this.#turns.size > MAX_AGENTS && oldest !== undefined) this.#turns.delete(oldest);
  }

  acted(agent: Execution, turn: number, results: readonly ToolResult[]): void {
    const known = this.#turns.get(keyOf(agent));
    if (known?.turn === turn) known.results = results;
  }

  /** The last two messages that a call is to see, when they were made here and are what the workflow has. */
  newest(agent: Execution, request: Pick<ThinkRequest, 'turn' | 'tail'>): Message[] | undefined {
    const known = this.#turns.get(keyOf(agent));
    if (known?.results === undefined || known.turn !== request.turn - 1) return undefined;
    const messages: Message[] = [known.answer, { role: 'tool', results: [...known.results] }];
    return tailDigest(messages) === request.tail ? messages : undefined;
  }
}

const keyOf = ({ workflowId, runId }: Execution): string => `${runId}/${workflowId}`;
