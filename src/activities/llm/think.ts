/** One turn's LLM call, paid once: the activity `think`, and the second half of `actAndThink`. */
import { Context } from '@temporalio/activity';
import { CancelledFailure } from '@temporalio/common';
import type { Config } from '../../shared/config/worker-config.ts';
import { type Message, ThinkRequest, ThinkResult } from '../../shared/contracts/agent.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { startBeats } from '../support/heartbeats.ts';
import type { Log } from '../support/log.ts';
import { type ChainWatch, orphaned, waitUntilWanted } from '../support/chain-watch.ts';
import { idempotencyKey, questionKey, toResult } from './answer.ts';
import type { Endpoint } from './endpoints.ts';
import { type Flight, Flights, type Ticket } from './single-flight.ts';
import { type AnswerJournal, createAnswerJournal } from './journal.ts';
import { createModels, type Models } from './models.ts';
import { toolDefinitions } from './providers/tools.ts';
import { RecentMessages } from './recent-messages.ts';
import { type TranscriptSource, Transcripts } from './transcript.ts';
import { waitingText } from './waiting.ts';

const HEARTBEAT_MS = 3_000;

export type LlmDeps = {
  /** Checked: each has a model for the roles that it serves. */
  endpoints: readonly Endpoint[];
  /** Of these endpoints, shared with whoever else calls them; made here when absent. */
  models?: Models;
  /** A folder of this host; made when needed. */
  journalDir: string;
  transcript: TranscriptSource;
  chains: ChainWatch;
  config: Pick<Config['llm'], 'idleSeconds' | 'firstTokenSeconds'>;
  /** Shared with `act` of the same process, which saves most queries. */
  recent?: RecentMessages;
  /** Aborted: the worker stops. What is on the wire is finished, what waits ends, long before its grace is over. */
  stopping?: AbortSignal;
  log: Log;
};

/** Asks the model over the transcript as the workflow has it, and what has been `added` to it since. */
export type Thinker = (request: ThinkRequest, added?: readonly Message[]) => Promise<ThinkResult>;

/**
 * To be called in an activity's context. Waits as long as it takes: through outages of all endpoints and while the
 * run is paused. It wants a heartbeat timeout (of 20 s or more) and a long startToClose.
 */
export function createThinker(deps: LlmDeps): Thinker {
  const thinking = new Thinking(deps);
  return async (request, added = []) => await thinking.think(request, added);
}

class Thinking {
  private readonly chains: LlmDeps['chains'];
  private readonly recent: RecentMessages;
  private readonly stopping: LlmDeps['stopping'];
  private readonly log: LlmDeps['log'];
  private readonly models: Models;
  private readonly transcripts: Transcripts;
  private readonly journal: AnswerJournal<ThinkResult>;
  private readonly flights = new Flights<ThinkResult>();

  constructor(deps: LlmDeps) {
    const { chains, recent = new RecentMessages(), stopping, log, models = createModels(deps) } = deps;
    this.chains = chains;
    this.recent = recent;
    this.stopping = stopping;
    this.log = log;
    this.models = models;
    this.transcripts = new Transcripts(deps.transcript);
    this.journal = createAnswerJournal(deps.journalDir, ThinkResult, log);
  }

  async think(input: ThinkRequest, added: readonly Message[]): Promise<ThinkResult> {
    const { stopping, transcripts, recent, flights, chains } = this;
    const parsed = ThinkRequest.safeParse(input);
    if (!parsed.success) throw terminal(FailureType.Invariant, `think was asked wrongly: ${parsed.error.message}`);
    const asked = parsed.data;
    const context = Context.current();
    const { workflowExecution } = context.info;
    if (workflowExecution === undefined) throw terminal(FailureType.Invariant, 'think runs for a workflow only.');
    let status = 'reading the transcript';
    let ticket: Ticket<ThinkResult> | undefined;
    const stopBeats = startBeats(() => {
      const since = ticket?.waitingSince;
      return {
        status: ticket?.status ?? status,
        ...(since === undefined ? {} : { waitingForModelSince: new Date(since).toISOString() }),
      };
    }, HEARTBEAT_MS);
    const leave = (): void => ticket?.release(attemptEnded());
    stopping?.addEventListener('abort', leave, { once: true });
    try {
      const transcript = await transcripts.get({
        ...workflowExecution,
        conversation: asked.conversation,
        count: asked.messageCount,
        tail: asked.tail,
        made: recent.of(workflowExecution),
      });
      throwIfEnded(context);
      const messages = [...transcript, ...added];
      // The same question, however its messages came here.
      const request = { ...asked, messageCount: messages.length };
      for (const message of added) recent.add(workflowExecution, message);
      const key = questionKey(request, messages);
      status = 'starting';
      ticket = flights.join(key, (flight) => this.answer(request, messages, key, flight));
      followCancellation(context, ticket, request, chains);
      if (stopping?.aborted === true) leave();
      const result = await ticket.answer;
      recent.add(workflowExecution, result.message);
      return result;
    } finally {
      stopBeats();
      stopping?.removeEventListener('abort', leave);
      ticket?.release(attemptEnded());
    }
  }

  /** The journal's answer to this question, or the models'. */
  private async answer(request: ThinkRequest, messages: Message[], key: string, flight: Flight): Promise<ThinkResult> {
    const { journal, log, models, chains } = this;
    const fields = { workflowId: request.agent.workflowId, turn: request.turn, role: request.role };
    const asker = `${request.agent.workflowId}/${request.agent.firstRunId}`;
    const journalled = await journal.read(asker, key);
    if (journalled !== null) {
      log.info({ ...fields, endpoint: journalled.endpoint }, 'LLM answer taken from the journal: not asked again');
      return journalled;
    }
    const [run = request.agent] = request.ancestors;
    const answered = await models.complete({
      run,
      role: request.role,
      conversation: JSON.stringify([request.agent.workflowId, request.agent.firstRunId]),
      messages,
      tools: toolDefinitions(request.tools),
      maxOutputTokens: request.maxOutputTokens,
      idempotencyKey: idempotencyKey(request),
      signal: flight.cancelled,
      abandoned: flight.abandoned,
      gate: () =>
        waitUntilWanted(chains, request.ancestors, {
          signal: AbortSignal.any([flight.cancelled, flight.abandoned]),
          onPaused: () => (flight.status = 'the run is paused'),
        }),
      onWaiting(waiting) {
        flight.status = waiting === undefined ? 'waiting for the answer' : waitingText(waiting, Date.now());
        flight.waitingSince = waiting?.since;
      },
    });
    const result = toResult(answered, request, messages);
    await journal.write(asker, key, result);
    log.info(
      {
        ...fields,
        endpoint: result.endpoint,
        model: result.model,
        attempts: result.attempts,
        durationMs: result.durationMs,
        ...result.usage,
        costUsd: result.costUsd,
        stop: result.stop,
        toolCalls: result.message.toolCalls.length,
      },
      'LLM call',
    );
    return result;
  }
}

/**
 * Only a requested cancellation aborts the provider's call, and the end of the workflow itself. A worker that
 * shuts down, or an attempt that the server has given up, ends what waits and finishes what is paid for.
 */
function followCancellation(
  context: Context,
  ticket: Ticket<ThinkResult>,
  request: ThinkRequest,
  chains: ChainWatch,
): void {
  const onCancel = async (): Promise<void> => {
    if (isRequested(context)) {
      ticket.cancel(new CancelledFailure('CANCELLED'));
      return;
    }
    if (context.cancellationDetails?.notFound === true) {
      // Gone from the server: timed out there, or its workflow has ended, and then nobody wants the answer.
      const ancestors = [...request.ancestors, request.agent];
      const check = await chains.check(ancestors, { fresh: true }).catch(() => null);
      if (check?.kind === 'orphaned') {
        ticket.cancel(orphaned(check));
        return;
      }
    }
    ticket.release(attemptEnded());
  };
  if (context.cancellationSignal.aborted) void onCancel();
  else context.cancellationSignal.addEventListener('abort', () => void onCancel(), { once: true });
}

/** A CancelledFailure is thrown for a requested cancellation only: any other reason leaves the work to a retry. */
function throwIfEnded(context: Context): void {
  if (!context.cancellationSignal.aborted) return;
  if (isRequested(context)) throw new CancelledFailure('CANCELLED');
  throw attemptEnded();
}

function isRequested({ cancellationDetails, cancellationSignal }: Context): boolean {
  if (cancellationDetails !== undefined) return cancellationDetails.cancelRequested;
  return cancellationSignal.reason instanceof CancelledFailure && cancellationSignal.reason.message === 'CANCELLED';
}

const attemptEnded = (): Error =>
  new Error('The LLM call was not made: this attempt has ended (its worker shuts down, or the server gave it up).');
