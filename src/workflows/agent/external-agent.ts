/**
 * The agent of a task as an external program: one activity from its start to its end, with checkpoints beside it.
 * Where its sandbox is lost it is started again in the next, on the newest checkpoint.
 */
import { CancellationScope, isCancellation, log, sleep, TimeoutFailure } from '@temporalio/workflow';
import { usedBefore } from '../../shared/agent/failure.ts';
import type { AgentHandoff } from '../../shared/contracts/agent.ts';
import type { AgentInput } from '../../shared/contracts/agent-run.ts';
import type { CommandResult } from '../../shared/contracts/agent-command.ts';
import { AgentMetrics, type Used } from '../../shared/contracts/task.ts';
import { externalHandoff } from '../../shared/agent/external-handoff.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { LOOP_TEXT } from '../../shared/agent/text.ts';
import { commandActivities } from '../support/activity-policies.ts';
import { ownChain } from './think.ts';
import type { HandoffChecks } from './handoff-checks.ts';
import type { Conversation } from './conversation.ts';
import type { AgentInbox } from './inbox.ts';
import type { AgentSandbox } from './sandbox.ts';

const CHECKPOINT_EVERY = '1m';

type External = {
  input: AgentInput;
  argv: string[];
  conversation: Conversation;
  sandbox: AgentSandbox;
  checks: HandoffChecks;
  inbox: AgentInbox;
};

/**
 * Runs the program until its handoff is accepted: again where the checks do not pass, with what fails, and where
 * people have said something that it has not been told.
 */
export async function runExternal(external: External): Promise<AgentHandoff> {
  const { conversation: talk, sandbox, checks, inbox } = external;
  const brief = talk.messages.flatMap((message) => (message.role === 'user' ? [message.text] : [])).join('\n\n');
  let more: string[] = [];
  for (;;) {
    const task = [LOOP_TEXT.external, brief, ...more].join('\n\n');
    for (const text of more) talk.messages.push({ role: 'user', text });
    const result = await sandbox.somewhere('The external agent', async (ref) => {
      // Restores a sandbox that is not the first; what the program does is stored beside it.
      await checkpoint(sandbox, talk);
      return await once(external, ref, task);
    });
    delete talk.inFlight;
    talk.metrics = result.metrics;
    talk.messages.push({ role: 'assistant', text: result.output, toolCalls: [] });
    await checkpoint(sandbox, talk);
    inbox.told(result.told);
    const { texts, handOff } = inbox.take();
    const isLast = result.reached !== undefined || handOff !== undefined || minutesLeft(external) <= 0;
    if (texts.length > 0 && !isLast) {
      more = texts;
      continue;
    }
    const checked = await checks.checked(externalHandoff(result), isLast);
    if (typeof checked !== 'string') return checked;
    more = [checked];
  }
}

async function once(external: External, ref: AgentSandbox['ref'], task: string): Promise<CommandResult> {
  const { input, argv, conversation: talk, sandbox } = external;
  const { settings } = input.run;
  const beside = new CancellationScope();
  void beside.run(() => checkpoints(sandbox, talk)).catch(() => undefined);
  // Its calls are told when it ends.
  talk.inFlight = {};
  try {
    return await commandActivities(ref.queue, { summary: argv.join(' ').slice(0, 100) }).runCommand({
      sandbox: ref,
      role: input.brief.role,
      argv,
      task,
      limits: settings.agent[input.brief.role],
      // A program that is started at all gets as long as it takes to say something.
      minutesLeft: Math.max(0.1, minutesLeft(external)),
      ...(input.budget === undefined ? {} : { budget: input.budget }),
      used: talk.metrics,
      maxOutputTokens: settings.maxOutputTokens,
      agent: ownChain(),
      ancestors: input.ancestors,
    });
  } catch (error) {
    const spent = spentBefore(error);
    talk.metrics = spent?.metrics ?? talk.metrics;
    if (spent?.estimated !== undefined) talk.inFlight = spent.estimated;
    else if (spent !== undefined || !isCancellation(error)) delete talk.inFlight;
    throw error;
  } finally {
    beside.cancel();
  }
}

/** What a program had used that was lost with its host, failed, or was cancelled. */
function spentBefore(error: unknown): Used | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    if (!(at instanceof TimeoutFailure)) continue;
    const beat = AgentMetrics.safeParse((at.lastHeartbeatDetails as { metrics?: unknown } | undefined)?.metrics);
    if (beat.success) return { metrics: beat.data };
  }
  return usedBefore(error);
}

function minutesLeft({ input, conversation }: External): number {
  const { minutes } = input.run.settings.agent[input.brief.role];
  return minutes - (Date.now() - conversation.startedAt) / 60_000;
}

async function checkpoint(sandbox: AgentSandbox, talk: Conversation): Promise<void> {
  talk.turn += 1;
  await sandbox.act(talk.turn, [{ id: `checkpoint-${talk.turn}`, name: 'bash', arguments: '{"command":"true"}' }]);
}

async function checkpoints(sandbox: AgentSandbox, talk: Conversation): Promise<void> {
  for (;;) {
    await sleep(CHECKPOINT_EVERY);
    try {
      await checkpoint(sandbox, talk);
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('no checkpoint of an external agent', { reason: rootMessage(error) });
    }
  }
}
