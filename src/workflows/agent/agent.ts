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
import { ownChain } from './think.ts';
import { runExternal } from './external-agent.ts';
import { compacted } from './compaction.ts';
import { type Conversation, newConversation } from './conversation.ts';
import { AgentInbox } from './inbox.ts';
import { type LoopEnd, runAgent } from './loop.ts';
import { opened } from './opening.ts';
import { AgentSandbox } from './sandbox.ts';
import { parseInput, parseSignal } from '../support/input.ts';

export async function agent(raw: AgentInput): Promise<AgentResult> {
  const input = parseInput(AgentInput, raw, 'agent');
  const { run, brief } = input;
  const { settings } = run;
  const sandbox = new AgentSandbox(input);
  // eslint-disable-next-line prefer-const -- a query may read it before there is one
  let talk: Conversation | undefined;

  setHandler(sandboxSignal, (raw) => {
    const next = parseSignal(SandboxRef, raw, 'sandbox');
    if (next !== undefined) sandbox.moved(next);
  });
  const inbox = new AgentInbox(input.carry?.said);
  setHandler(messageSignal, (raw) => {
    const message = parseSignal(AgentMessage, raw, 'message');
    if (message !== undefined) inbox.put(message);
  });
  setHandler(saidQuery, () => inbox.toJSON());
  setHandler(transcriptQuery, (range) => talk?.messages.slice(range?.from ?? 0, range?.to) ?? []);

  const conversation: Conversation =
    input.carry === undefined ? newConversation([], Date.now()) : { ...input.carry, inputTokens: 0 };
  talk = conversation;
  const asker = {
    role: brief.role,
    conversation,
    agent: ownChain(),
    ancestors: input.ancestors,
    maxOutputTokens: settings.maxOutputTokens,
  };
  const first = input.carry === undefined ? await paid(() => opened(input, asker, inbox)) : undefined;
  const checks = new HandoffChecks({
    task: input.task,
    settings,
    rounds: input.carry?.checkRounds ?? 0,
    act: (calls) => sandbox.act(conversation.turn, calls),
  });
  const { engine, argv } = settings.agent;
  if (engine === 'command' && argv !== undefined) {
    return resultOf(await paid(() => runExternal({ input, argv, conversation, sandbox, checks, inbox })));
  }
  const limits = settings.agent[brief.role];
  const timeIsOver = conversation.startedAt + limits.minutes * 60_000;

  const end = await paid(() =>
    runAgent<AgentHandoff>({
      ...asker,
      limits,
      compactTokens: settings.compactTokens,
      ...(input.budget === undefined ? {} : { budget: input.budget }),
      inbox,
      first,
      act: (turn, calls, next) => sandbox.act(turn, calls, { ...(next && { next }), until: timeIsOver }),
      close: (call, at) => checks.close(call, at),
    }),
  );

  if (end.kind === 'compact') {
    const messages = await paid(async () => {
      const all = await compacted(asker, end);
      // A cancellation that came with the summary would end with this run.
      const scope = CancellationScope.current();
      if (scope.consideredCancelled) await scope.cancelRequested;
      return all;
    });
    const { turn, number, metrics, startedAt } = conversation;
    return continueAsNew<typeof agent>({
      ...input,
      sandbox: sandbox.ref,
      carry: {
        messages,
        turn,
        number: number + 1,
        metrics,
        startedAt,
        checkpoint: sandbox.checkpoint,
        said: inbox.toJSON(),
        checkRounds: checks.rounds,
      },
    });
  }
  return resultOf(handoffOf(end));

  /** A failure says what was spent before it, and a cancellation is told of it. */
  async function paid<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isCancellation(error)) throw agentFailure(error, conversation.metrics);
      await CancellationScope.nonCancellable(() => tellUsed(conversation));
      throw error;
    }
  }

  function resultOf(handoff: AgentHandoff): AgentResult {
    const { metrics } = conversation;
    const { results } = checks;
    return { handoff, metrics, checkpoint: sandbox.checkpoint, ...(results === undefined ? {} : { checks: results }) };
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
