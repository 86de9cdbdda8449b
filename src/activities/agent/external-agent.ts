/**
 * An external coding agent in a sandbox. It reaches the models through a gateway on the sandbox's own loopback, with a
 * token that is good for as long as it runs, and has no provider's key. The activity is idempotent as a whole only:
 * after a crash the program is started again, on the work tree as it is.
 */
import { randomBytes } from 'node:crypto';
import { stripVTControlCharacters } from 'node:util';
import { Context } from '@temporalio/activity';
import type { CommandActivities } from '../../shared/contracts/activities.ts';
import type { Budget } from '../../shared/contracts/budget.ts';
import { CommandRequest, type CommandResult } from '../../shared/contracts/agent-command.ts';
import { agentFailure, cancelledAfter } from '../../shared/agent/failure.ts';
import { AgentMetrics } from '../../shared/contracts/task.ts';
import { FailureType, failureTypeOf, terminal } from '../../shared/base/failures.ts';
import { LOOP_TEXT } from '../../shared/agent/text.ts';
import { createModelGateway, type ModelGateway, type ModelGatewayOptions } from './model-gateway/gateway.ts';
import type { ModelAnswer, Models } from '../llm/models.ts';
import type { Log } from '../support/log.ts';
import type { Sandboxes } from '../sandbox/index.ts';
import type { SandboxResult } from '../sandbox/provider.ts';
import type { InboxSource } from './inbox.ts';
import { startBeats, throwIfCancelled } from '../support/heartbeats.ts';
import { type ChainWatch, waitUntilWanted } from '../support/chain-watch.ts';

/** The gateway's port on the sandbox's loopback. */
const PORT = 3100;
/** The router chooses the model, so the gateway takes any name; the program is given this one. */
const MODEL = 'agentswarm';
const OUTPUT_BYTES = 24_000;
/** How much of a model's answer is returned: more than the body of a commit takes. */
const ANSWER_CHARS = 8_000;
const HEARTBEAT_MS = 1_000;

export type CommandDeps = {
  exec: Sandboxes['exec'];
  models: Models;
  chains: ChainWatch;
  inbox: InboxSource;
  log: Log;
};

export const createCommandActivities = (deps: CommandDeps): CommandActivities => ({
  runCommand: async (input) => new AgentCommand(deps, CommandRequest.parse(input)).run(),
});

/** One run of an external agent's program, within one attempt of the activity. */
class AgentCommand {
  private readonly deps: CommandDeps;
  private readonly request: CommandRequest;
  private readonly context = Context.current();
  private readonly signal = this.context.cancellationSignal;
  private readonly token = randomBytes(24).toString('hex');
  private readonly gateway: ModelGateway;
  private calls = 0;

  constructor(deps: CommandDeps, request: CommandRequest) {
    this.deps = deps;
    this.request = request;
    const { maxOutputTokens, limits, budget, agent } = request;
    this.gateway = createModelGateway({
      token: this.token,
      model: MODEL,
      maxOutputTokens,
      limits,
      budget,
      used: this.usedBefore(),
      messages: () => deps.inbox.messages(agent),
      ask: (call) => this.ask(call),
    });
  }

  async run(): Promise<CommandResult> {
    const { context, gateway, signal } = this;
    // Read before others hear of the abort: a call that the abort breaks off is paid for all the same.
    let estimated: Budget | undefined;
    signal.addEventListener('abort', () => (estimated = gateway.unanswered), { once: true });
    const stopBeats = startBeats(() => ({ metrics: gateway.metrics }), HEARTBEAT_MS);
    try {
      return await this.runProgram();
    } catch (error) {
      await throwIfCancelled(signal).catch((cancelled: unknown) => {
        throw cancelledAfter(cancelled, { metrics: gateway.metrics, estimated });
      });
      // The next attempt reads the metrics in the heartbeat; where none comes, the failure carries them.
      context.heartbeat({ metrics: gateway.metrics });
      throw isTerminal(error) ? agentFailure(error, gateway.metrics) : error;
    } finally {
      stopBeats();
      const translatedFor = [...gateway.translatedFor.values()];
      const { workflowId } = this.request.agent;
      this.deps.log.info({ workflowId, calls: this.calls, translatedFor, ...gateway.metrics }, 'external agent');
    }
  }

  /** What the agent had used by the last heartbeat of an attempt that died, which is paid for, or by the request. */
  private usedBefore(): AgentMetrics {
    const details = this.context.info.heartbeatDetails as { metrics?: unknown } | undefined;
    const metrics = AgentMetrics.safeParse(details?.metrics);
    return metrics.success ? metrics.data : this.request.used;
  }

  private ask(call: Parameters<ModelGatewayOptions['ask']>[0]): Promise<ModelAnswer> {
    const { agent, ancestors, role } = this.request;
    const { activityId, attempt } = this.context.info;
    const [root = agent] = ancestors;
    this.calls += 1;
    return this.deps.models.complete({
      ...call,
      run: root,
      role,
      conversation: JSON.stringify([agent.workflowId, agent.firstRunId]),
      idempotencyKey: `${agent.workflowId}/${agent.firstRunId}/${activityId}.${attempt}.${this.calls}`,
      signal: AbortSignal.any([this.signal, call.signal]),
      abandoned: new AbortController().signal,
      gate: () => waitUntilWanted(this.deps.chains, ancestors, { signal: call.signal }),
    });
  }

  private async runProgram(): Promise<CommandResult> {
    const { request, gateway, token, signal } = this;
    const { exec } = this.deps;
    const { sandbox, argv, task, minutesLeft } = request;
    const deadline = this.context.info.scheduledTimestampMs + minutesLeft * 60_000;
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
      service: { port: PORT, handle: (incoming, response) => gateway.handle(incoming, response) },
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
    return this.resultOf(result);
  }

  private resultOf(result: SandboxResult): CommandResult {
    const { gateway } = this;
    const { minutes } = this.request.limits;
    const reached =
      result.reason === 'timeout'
        ? LOOP_TEXT.limitReached({ what: 'minutes', used: minutes, limit: minutes })
        : gateway.reached;
    const { answered, newestText, unanswered } = gateway.lastCall;
    const clean = (text: string): string => stripVTControlCharacters(text).replaceAll(this.token, '[token]').trim();
    const notes = [...(result.limits ?? []), ...(result.refused ?? [])].map(clean);
    return {
      exitCode: result.reason === 'exit' ? result.exitCode : null,
      output: clean((result.tail.length > 0 ? result.tail : result.stdout).toString('utf8')),
      answered,
      ...(newestText === undefined ? {} : { said: clean(newestText).slice(0, ANSWER_CHARS) }),
      ...(unanswered === undefined ? {} : { unanswered: clean(unanswered).slice(0, ANSWER_CHARS) }),
      ...(notes.length === 0 ? {} : { notes }),
      metrics: gateway.metrics,
      told: [...gateway.deliveredIds],
      ...(reached === undefined ? {} : { reached }),
    };
  }
}

const isTerminal = (error: unknown): boolean => failureTypeOf(error) !== undefined;
