/**
 * The agent of one task, as the task's child: the loop, over whichever sandbox the task holds now. It
 * continues as new when its transcript is compacted. However it ends, its task is told once what it has used: with its
 * result, in its failure, or, as a cancellation says nothing, by the signal `used`.
 */
import {
  CancellationScope,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { agentFailure } from '../../shared/agent/failure.ts';
import { type AgentHandoff, SandboxRef } from '../../shared/contracts/agent.ts';
import { AgentInput, AgentMessage, type AgentResult } from '../../shared/contracts/agent-run.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { messageSignal, sandboxSignal, saidQuery, transcriptQuery, usedSignal } from '../../shared/messages.ts';
import { HandoffChecks } from './handoff-checks.ts';
import { type Asker, ownChain } from './think.ts';
import { runExternal } from './external-agent.ts';
import { compacted } from './compaction.ts';
import { type Conversation, newConversation } from './conversation.ts';
import { AgentInbox } from './inbox.ts';
import { type LoopEnd, runAgent } from './loop.ts';
import { opened } from './opening.ts';
import { AgentSandbox } from './sandbox.ts';
import { parseInput, parseSignal } from '../support/input.ts';

export async function agent(raw: AgentInput): Promise<AgentResult> {
  return await new AgentRun(parseInput(AgentInput, raw, 'agent')).run();
}

/** One run of an agent: from its opening, or from what continue-as-new carries, to its handoff or the next compaction. */
class AgentRun {
  private readonly input: AgentInput;
  private readonly sandbox: AgentSandbox;
  private readonly inbox: AgentInbox;
  private readonly conversation: Conversation;
  private readonly asker: Asker;
  private readonly checks: HandoffChecks;

  constructor(input: AgentInput) {
    const { run, brief, carry, ancestors, task } = input;
    this.input = input;
    this.sandbox = new AgentSandbox(input);
    this.inbox = new AgentInbox(carry?.inbox);
    this.conversation = carry === undefined ? newConversation([], Date.now()) : { ...carry, inputTokens: 0 };
    this.asker = {
      role: brief.role,
      conversation: this.conversation,
      agent: ownChain(),
      ancestors,
      maxOutputTokens: run.settings.maxOutputTokens,
    };
    this.checks = new HandoffChecks({
      task,
      settings: run.settings,
      rounds: carry?.checkRounds ?? 0,
      act: (calls) => this.sandbox.act(this.conversation.turn, calls),
    });
    this.listen();
  }

  async run(): Promise<AgentResult> {
    const { input, conversation, sandbox, checks, inbox, asker } = this;
    const first = input.carry === undefined ? await this.paid(() => opened(input, asker, inbox)) : undefined;
    const { engine, argv } = input.run.settings.agent;
    if (engine === 'command' && argv !== undefined) {
      return this.resultOf(await this.paid(() => runExternal({ input, argv, conversation, sandbox, checks, inbox })));
    }
    const end = await this.paid(() => this.loop(first));
    return end.kind === 'compact' ? await this.compact(end) : this.resultOf(handoffOf(end));
  }

  /** All that an agent hears. */
  private listen(): void {
    const { sandbox, inbox, conversation } = this;
    setHandler(sandboxSignal, (raw) => {
      const next = parseSignal(SandboxRef, raw, 'sandbox');
      if (next !== undefined) sandbox.moved(next);
    });
    setHandler(messageSignal, (raw) => {
      const message = parseSignal(AgentMessage, raw, 'message');
      if (message !== undefined) inbox.put(message);
    });
    setHandler(saidQuery, () => inbox.toJSON());
    setHandler(transcriptQuery, (range) => conversation.messages.slice(range?.from ?? 0, range?.to));
  }

  private async loop(first: Parameters<typeof runAgent>[0]['first']): Promise<LoopEnd<AgentHandoff>> {
    const { input, asker, conversation, sandbox, checks, inbox } = this;
    const { settings } = input.run;
    const limits = settings.agent[input.brief.role];
    const timeIsOver = conversation.startedAt + limits.minutes * 60_000;
    return await runAgent<AgentHandoff>({
      ...asker,
      limits,
      compactTokens: settings.compactTokens,
      ...(input.budget === undefined ? {} : { budget: input.budget }),
      inbox,
      first,
      act: (turn, calls, next) => sandbox.act(turn, calls, { ...(next && { next }), until: timeIsOver }),
      close: (call, at) => checks.close(call, at),
    });
  }

  /** Begins anew with a summary in place of the conversation so far. */
  private async compact(end: Parameters<typeof compacted>[1]): Promise<never> {
    const { input, conversation, sandbox, checks, inbox, asker } = this;
    const messages = await this.paid(async () => {
      const all = await compacted(asker, end);
      // A cancellation that came with the summary would end with this run.
      const scope = CancellationScope.current();
      if (scope.consideredCancelled) await scope.cancelRequested;
      return all;
    });
    const { turn, number, metrics, startedAt } = conversation;
    return await continueAsNew<typeof agent>({
      ...input,
      sandbox: sandbox.ref,
      carry: {
        messages,
        turn,
        number: number + 1,
        metrics,
        startedAt,
        checkpoint: sandbox.checkpoint,
        inbox: inbox.toJSON(),
        checkRounds: checks.rounds,
      },
    });
  }

  /** A failure says what was spent before it, and a cancellation is told of it. */
  private async paid<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isCancellation(error)) throw agentFailure(error, this.conversation.metrics);
      await CancellationScope.nonCancellable(() => tellUsed(this.conversation));
      throw error;
    }
  }

  private resultOf(handoff: AgentHandoff): AgentResult {
    const { metrics } = this.conversation;
    const { results } = this.checks;
    return {
      handoff,
      metrics,
      checkpoint: this.sandbox.checkpoint,
      ...(results === undefined ? {} : { checks: results }),
    };
  }
}

/** To the task. One that has ended cannot be told: then its planner counts what it was given. */
async function tellUsed({ metrics, inFlight }: Conversation): Promise<void> {
  const { parent } = workflowInfo();
  if (parent === undefined) return;
  const used = inFlight === undefined ? { metrics } : { metrics, estimated: inFlight };
  try {
    await getExternalWorkflowHandle(parent.workflowId, parent.runId).signal(usedSignal, { sender: ownChain(), used });
  } catch (error) {
    log.info('the task had ended before it was told what its agent has used', { reason: rootMessage(error) });
  }
}

function handoffOf(end: Exclude<LoopEnd<AgentHandoff>, { kind: 'compact' }>): AgentHandoff {
  if (end.kind === 'closed') return end.value;
  return {
    status: end.by === 'useless' ? 'failed' : 'partial',
    summary: `The agent was stopped before it handed off. ${end.reason}`,
    concerns: [end.reason],
    suggestions: [],
  };
}
