/**
 * The agent of a task as an external program: one activity from its start to its end, with checkpoints beside it.
 * Where its sandbox is lost it is started again in the next, on the newest checkpoint.
 */
import { CancellationScope, isCancellation, log, sleep } from '@temporalio/workflow';
import type { AgentHandoff } from '../shared/contracts/agent.ts';
import type { AgentInput } from '../shared/contracts/agent-run.ts';
import type { CommandResult } from '../shared/contracts/agent-command.ts';
import { rootMessage } from '../shared/failures.ts';
import { LOOP_TEXT } from '../shared/loop-text.ts';
import { commandActivities } from './activities.ts';
import type { HandoffChecks } from './agent-checks.ts';
import { ownChain } from './agent-ask.ts';
import type { Conversation } from './agent-conversation.ts';
import type { AgentSandbox } from './agent-sandbox.ts';

const CHECKPOINT_EVERY = '1m';
const SUMMARY_CHARS = 4_000;

/** Runs the program until its handoff is accepted: again, with what fails, where the checks do not pass. */
export async function runExternal(options: {
  input: AgentInput;
  argv: string[];
  conversation: Conversation;
  sandbox: AgentSandbox;
  checks: HandoffChecks;
}): Promise<AgentHandoff> {
  const { input, argv, conversation: talk, sandbox, checks } = options;
  const { settings } = input.run;
  const brief = talk.messages.flatMap((message) => (message.role === 'user' ? [message.text] : [])).join('\n\n');
  let failing: string | undefined;
  for (;;) {
    const task = [LOOP_TEXT.external, brief, ...(failing === undefined ? [] : [failing])].join('\n\n');
    if (failing !== undefined) talk.messages.push({ role: 'user', text: failing });
    const result = await sandbox.somewhere('The external agent', async (ref) => {
      // Restores a sandbox that is not the first; what the program does is stored beside it.
      await checkpoint(sandbox, talk);
      const beside = new CancellationScope();
      void beside.run(() => checkpoints(sandbox, talk)).catch(() => undefined);
      try {
        return await commandActivities(ref.queue, { summary: argv.join(' ').slice(0, 100) }).runCommand({
          sandbox: ref,
          role: input.brief.role,
          argv,
          task,
          limits: settings.agent[input.brief.role],
          used: talk.metrics,
          maxOutputTokens: settings.maxOutputTokens,
          agent: ownChain(),
          ancestors: input.ancestors,
        });
      } finally {
        beside.cancel();
      }
    });
    talk.metrics = result.metrics;
    talk.messages.push({ role: 'assistant', text: result.output, toolCalls: [] });
    await checkpoint(sandbox, talk);
    const checked = await checks.checked(handoffOf(result), result.reached !== undefined);
    if (typeof checked !== 'string') return checked;
    failing = checked;
  }
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

/** It says only how it ended: what it did is measured, and judged by the checks. */
function handoffOf({ exitCode, output, metrics, reached }: CommandResult): AgentHandoff {
  const summary = output.slice(-SUMMARY_CHARS).trim() || LOOP_TEXT.saidNothing;
  const base = { summary, suggestions: [] };
  if (reached !== undefined) return { ...base, status: 'partial', concerns: [reached] };
  if (exitCode !== 0) return { ...base, status: 'failed', concerns: [LOOP_TEXT.externalFailed(exitCode)] };
  // Some agents end well although no model answered them.
  if (metrics.turns === 0) return { ...base, status: 'failed', concerns: [LOOP_TEXT.askedNothing] };
  return { ...base, status: 'complete', concerns: [] };
}
