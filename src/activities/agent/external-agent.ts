/**
 * An external coding agent in a sandbox, with the models behind a gateway on the sandbox's own loopback: it has a
 * token of its own for as long as it runs, and no provider's key. Idempotent as a whole only: after a crash it is
 * started again, on the work tree as it is.
 */
import { randomBytes } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { CommandActivities } from '../../shared/contracts/activities.ts';
import type { Budget } from '../../shared/contracts/budget.ts';
import { CommandRequest, type CommandResult } from '../../shared/contracts/agent-command.ts';
import { agentFailure, cancelledAfter } from '../../shared/agent/failure.ts';
import { AgentMetrics } from '../../shared/contracts/task.ts';
import { failureTypeOf } from '../../shared/base/failures.ts';
import { LOOP_TEXT } from '../../shared/agent/text.ts';
import { startBeats, throwIfCancelled } from '../support/heartbeats.ts';
import { createModelGateway } from './model-gateway/gateway.ts';
import type { Models } from '../llm/models.ts';
import type { Log } from '../support/log.ts';
import type { Sandboxes } from '../sandbox/index.ts';
import type { InboxSource } from './inbox.ts';
import { type ChainWatch, waitUntilWanted } from '../support/chain-watch.ts';

/** On the sandbox's loopback. */
const PORT = 3100;
/** The router chooses: any name is taken, and this one is told. */
const MODEL = 'agentswarm';
const OUTPUT_BYTES = 24_000;
const HEARTBEAT_MS = 1_000;

export type CommandDeps = {
  exec: Sandboxes['exec'];
  models: Models;
  chains: ChainWatch;
  inbox: InboxSource;
  log: Log;
};

export function createCommandActivities({ exec, models, chains, inbox, log }: CommandDeps): CommandActivities {
  return {
    async runCommand(input) {
      const asked = CommandRequest.parse(input);
      const context = Context.current();
      const signal = context.cancellationSignal;
      // What an attempt that died had used by its last heartbeat is paid for.
      const before = AgentMetrics.safeParse(
        (context.info.heartbeatDetails as { metrics?: unknown } | undefined)?.metrics,
      );
      const used = before.success ? before.data : asked.used;
      const token = randomBytes(24).toString('hex');
      const conversation = JSON.stringify([asked.agent.workflowId, asked.agent.firstRunId]);
      const attempt = `${context.info.activityId}.${context.info.attempt}`;
      const [root = asked.agent] = asked.ancestors;
      let calls = 0;
      const gateway = createModelGateway({
        token,
        model: MODEL,
        maxOutputTokens: asked.maxOutputTokens,
        limits: asked.limits,
        budget: asked.budget,
        used,
        said: () => inbox.said(asked.agent),
        ask: (request) => {
          calls += 1;
          return models.complete({
            ...request,
            run: root,
            role: asked.role,
            conversation,
            idempotencyKey: `${asked.agent.workflowId}/${asked.agent.firstRunId}/${attempt}.${calls}`,
            signal: AbortSignal.any([signal, request.signal]),
            abandoned: new AbortController().signal,
            gate: () => waitUntilWanted(chains, asked.ancestors, { signal: request.signal }),
          });
        },
      });
      // Before anything else hears of it: what it breaks off is paid for all the same.
      let estimated: Budget | undefined;
      signal.addEventListener('abort', () => (estimated = gateway.unanswered), { once: true });
      const stopBeats = startBeats(() => ({ metrics: gateway.metrics }), HEARTBEAT_MS);
      try {
        return await run(asked, gateway, token, signal);
      } catch (error) {
        await throwIfCancelled(signal).catch((cancelled: unknown) => {
          throw cancelledAfter(cancelled, { metrics: gateway.metrics, estimated });
        });
        // An attempt to come reads it in the heartbeat; where none comes the failure says it.
        context.heartbeat({ metrics: gateway.metrics });
        throw isTerminal(error) ? agentFailure(error, gateway.metrics) : error;
      } finally {
        stopBeats();
        log.info({ workflowId: asked.agent.workflowId, calls, ...gateway.metrics }, 'external agent');
      }
    },
  };

  async function run(
    asked: CommandRequest,
    gateway: ReturnType<typeof createModelGateway>,
    token: string,
    signal: AbortSignal,
  ): Promise<CommandResult> {
    const { sandbox, argv, task, limits } = asked;
    const deadline = Context.current().info.scheduledTimestampMs + asked.minutesLeft * 60_000;
    const file = await exec(sandbox, ['/bin/sh', '-c', 'cat > "$TMPDIR/task.md" && printf %s "$TMPDIR/task.md"'], {
      stdin: task,
      timeoutMs: 60_000,
      signal,
    });
    const url = `http://127.0.0.1:${PORT}`;
    const result = await exec(sandbox, argv, {
      stdin: task,
      timeoutMs: Math.max(1_000, deadline - Date.now()),
      signal,
      combine: true,
      headBytes: 0,
      tailBytes: OUTPUT_BYTES,
      service: { port: PORT, handle: gateway.handle },
      env: {
        AGENTSWARM_TASK_FILE: file.stdout.toString('utf8'),
        AGENTSWARM_MODEL: MODEL,
        OPENAI_BASE_URL: `${url}/v1`,
        OPENAI_API_KEY: token,
        OPENAI_MODEL: MODEL,
        ANTHROPIC_BASE_URL: url,
        ANTHROPIC_API_KEY: token,
        ANTHROPIC_MODEL: MODEL,
      },
    });
    await throwIfCancelled(signal);
    const reached =
      result.reason === 'timeout'
        ? LOOP_TEXT.limitReached({ what: 'minutes', used: limits.minutes, limit: limits.minutes })
        : gateway.reached;
    const said = [
      (result.tail.length > 0 ? result.tail : result.stdout).toString('utf8'),
      ...(result.limits ?? []),
      ...(result.refused ?? []),
    ];
    return {
      exitCode: result.reason === 'exit' ? result.exitCode : null,
      output: said.join('\n').replaceAll(token, '[token]').trim(),
      metrics: gateway.metrics,
      told: [...gateway.told],
      ...(reached === undefined ? {} : { reached }),
    };
  }
}

const isTerminal = (error: unknown): boolean => failureTypeOf(error) !== undefined;
