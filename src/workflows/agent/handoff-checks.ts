/**
 * A handoff is `complete` only when the checks say so: they run in the agent's sandbox, a failing one goes back to the
 * agent, and after that the status is what the check says.
 */
import type { AgentHandoff, ToolCall } from '../../shared/contracts/agent.ts';
import type { CheckResult, TaskSpec } from '../../shared/contracts/task.ts';
import {
  batches,
  callsOf,
  type Command,
  commandsOf,
  concernOf,
  failuresText,
  isFailed,
  retained,
  MAX_CHECK_ROUNDS,
  resultOf,
} from '../../shared/reconciler/check-errors.ts';
import { LOOP_TEXT } from '../../shared/agent/text.ts';
import type { RunSettings } from '../../shared/contracts/run-settings.ts';
import { parseArguments } from '../../shared/agent/tools.ts';
import type { Acted, ClosingTurn, Verdict } from './loop.ts';

/** Of the handoff's schema: what the host adds must fit beside what the agent says. */
const MAX_CONCERNS = 50;

export class HandoffChecks {
  /** Of the newest run; undefined where none was needed. */
  results: CheckResult[] | undefined;
  rounds: number;
  private readonly task: TaskSpec;
  private readonly commands: Command[];
  private readonly act: (calls: ToolCall[]) => Promise<Acted>;
  private runs = 0;

  constructor(options: {
    task: TaskSpec;
    settings: RunSettings;
    /** How often failing checks have gone back already. */
    rounds: number;
    /** Runs calls in the sandbox under the turn that closes. */
    act: (calls: ToolCall[]) => Promise<Acted>;
  }) {
    this.task = options.task;
    this.rounds = options.rounds;
    this.act = options.act;
    this.commands = commandsOf(options.task, options.settings.checks);
  }

  /** Judges the closing call. What it says of calls that were not run is not believed. */
  async close(call: ToolCall, { last, refused }: ClosingTurn): Promise<Verdict<AgentHandoff>> {
    const parsed = parseArguments('submit_handoff', call.arguments);
    if (!parsed.ok) return parsed;
    const handoff = await this.checked(refused > 0 ? unfinished(parsed.value, refused) : parsed.value, last);
    return typeof handoff === 'string' ? { ok: false, error: handoff } : { ok: true, value: handoff };
  }

  /** The handoff as the checks allow it, or what goes back to the agent. */
  async checked(handoff: AgentHandoff, last: boolean): Promise<AgentHandoff | string> {
    this.results = undefined;
    if (handoff.status !== 'complete') return handoff;
    const results = await this.run();
    this.results = retained(this.task, results);
    const failed = results.filter(isFailed);
    if (failed.length === 0) return handoff;
    if (!last && this.rounds < MAX_CHECK_ROUNDS) {
      this.rounds += 1;
      return failuresText(results, MAX_CHECK_ROUNDS - this.rounds);
    }
    const concerns = [...failed.map(concernOf), ...handoff.concerns].slice(0, MAX_CONCERNS);
    return { ...handoff, status: 'partial', concerns };
  }

  private async run(): Promise<CheckResult[]> {
    const results: CheckResult[] = [];
    for (const batch of batches(this.commands)) {
      let { results: given } = await this.runOnce(batch);
      // A check may run twice, unlike a tool of the agent.
      if (given.some(({ status }) => status === 'interrupted')) given = (await this.runOnce(batch)).results;
      for (const [i, command] of batch.entries()) results.push(resultOf(command, given[i]));
    }
    return results;
  }

  /** Ids are part of what names a turn's journal: each run has its own. */
  private runOnce(batch: Command[]): Promise<Acted> {
    this.runs += 1;
    return this.act(callsOf(batch, `check-${this.runs}`));
  }
}

function unfinished(handoff: AgentHandoff, refused: number): AgentHandoff {
  const concerns = [LOOP_TEXT.refusedCalls(refused), ...handoff.concerns].slice(0, MAX_CONCERNS);
  return { ...handoff, status: handoff.status === 'complete' ? 'partial' : handoff.status, concerns };
}
