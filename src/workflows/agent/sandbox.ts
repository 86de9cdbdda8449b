/**
 * The sandbox of an agent, as its workflow sees it: whichever its task holds now. What is begun in one that is lost
 * is done again in the next, on the newest checkpoint.
 */
import { CancellationScope, condition, isCancellation, log } from '@temporalio/workflow';
import type { Checkpoint, SandboxRef, ThinkRequest, ToolCall } from '../../shared/contracts/agent.ts';
import type { AgentInput } from '../../shared/contracts/agent-run.ts';
import { FailureType, failureTypeOf, terminal } from '../../shared/base/failures.ts';
import { parseArguments } from '../../shared/agent/tools.ts';
import { actAndThinkOptions, actOptions, sandboxActivities, turnActivities } from '../support/activity-policies.ts';
import { isTimeout } from '../support/timeouts.ts';
import type { Acted } from './loop.ts';

/** How long an agent waits for its task to find it another sandbox; slots may be taken for hours. */
const SANDBOX_DEADLINE = '12h';
/** Of one piece of work. Calls that end every sandbox that they run in must not go on for ever. */
const MAX_TRIES = 10;

export class AgentSandbox {
  ref: SandboxRef;
  checkpoint: Checkpoint | undefined;
  private readonly input: AgentInput;

  constructor(input: AgentInput) {
    this.input = input;
    this.ref = input.sandbox;
    this.checkpoint = input.carry?.checkpoint;
  }

  /** The signal `sandbox`. */
  moved(next: SandboxRef): void {
    if (next.epoch > this.ref.epoch) this.ref = next;
  }

  /**
   * Runs the calls of one turn; with `next` the model may answer them in the same activity, and at `until` (ms since
   * the epoch) they end.
   */
  async act(turn: number, calls: ToolCall[], more: { next?: ThinkRequest; until?: number } = {}): Promise<Acted> {
    const { next, until } = more;
    const summary = summaryOf(calls);
    const { acted, answer } = await this.somewhere(`Turn ${turn}`, async (sandbox) => {
      const left = until === undefined ? {} : { minutesLeft: Math.max(0, until - Date.now()) / 60_000 };
      const request = { sandbox, turn, calls, ...this.place(), ...left };
      if (next === undefined) {
        const acted = await sandboxActivities(sandbox.queue, { ...actOptions, summary }).act(request);
        return { acted, answer: undefined };
      }
      const both = turnActivities(sandbox.queue, { ...actAndThinkOptions, summary: `${summary}; think ${next.turn}` });
      return await both.actAndThink({ act: request, think: next });
    });
    if (acted.checkpoint !== undefined) this.checkpoint = acted.checkpoint;
    return { results: acted.results, answer };
  }

  /** What an activity of the sandbox must know besides the sandbox: where its work tree comes from and goes to. */
  place() {
    return { repo: this.input.run.repo, restore: this.checkpoint, ref: this.input.ref };
  }

  /** Runs a piece of work in the sandbox, and again in the next where that one is lost; `what` is for messages. */
  async somewhere<T extends object>(what: string, work: (sandbox: SandboxRef) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      const used = this.ref;
      const done = await this.once(used, work);
      if (typeof done === 'object') return done;
      if (tries >= MAX_TRIES) {
        const tried = `${what} was tried ${tries} times, the last in sandbox ${used.id} (lease ${used.epoch})`;
        throw terminal(FailureType.SandboxGone, `${tried}: ${done}.`);
      }
      log.info('no answer from the sandbox; waiting for another', { sandbox: used.id, epoch: used.epoch, why: done });
      const moved = await condition(() => this.ref.epoch > used.epoch, done === 'gone' ? SANDBOX_DEADLINE : '30s');
      if (!moved && done === 'gone') {
        throw terminal(FailureType.SandboxGone, `No sandbox within ${SANDBOX_DEADLINE} after ${used.id} was lost.`);
      }
    }
  }

  private async once<T extends object>(
    used: SandboxRef,
    work: (sandbox: SandboxRef) => Promise<T>,
  ): Promise<T | 'gone' | 'timeout'> {
    const scope = new CancellationScope();
    let moved = false;
    try {
      const running = scope.run(() => work(used));
      // A lease elsewhere means that this host is lost: its queue would answer too late, or never.
      const watch = new CancellationScope();
      void watch
        .run(() => condition(() => this.ref.id !== used.id))
        .then(
          () => {
            moved = true;
            scope.cancel();
          },
          () => undefined,
        );
      try {
        return await running;
      } finally {
        watch.cancel();
      }
    } catch (error) {
      if (moved) return 'gone';
      if (isCancellation(error)) throw error;
      if (failureTypeOf(error) === FailureType.SandboxGone) return 'gone';
      if (isTimeout(error)) return 'timeout';
      throw error;
    }
  }
}

function summaryOf(calls: readonly ToolCall[]): string {
  const [first] = calls;
  if (first === undefined) return 'no calls';
  const parsed = first.name === 'bash' ? parseArguments('bash', first.arguments) : undefined;
  const what = parsed?.ok === true ? `bash: ${parsed.value.command}` : first.name;
  const more = calls.length > 1 ? ` (+${calls.length - 1})` : '';
  return `${what.replace(/\s+/g, ' ').slice(0, 100)}${more}`;
}
