/**
 * The agent of one task, as the task's child: the loop, over whichever sandbox the task holds now. It
 * continues as new when its transcript is compacted.
 */
import {
  ApplicationFailure,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  log,
  setHandler,
  TimeoutFailure,
} from '@temporalio/workflow';
import {
  type ActAndThinkResult,
  type AgentHandoff,
  type Message,
  SandboxRef,
  type ThinkRequest,
  type ToolCall,
} from '../shared/contracts/agent.ts';
import { AgentInput, AgentMessage, type AgentResult } from '../shared/contracts/agent-run.ts';
import { FailureType, failureTypeOf, terminal } from '../shared/failures.ts';
import { LOOP_TEXT } from '../shared/loop-text.ts';
import { messageSignal, sandboxSignal, transcriptQuery } from '../shared/messages.ts';
import { parseArguments } from '../shared/tools.ts';
import { actAndThinkOptions, actOptions, runActivities, sandboxActivities, turnActivities } from './activities.ts';
import {
  type Acted,
  type Conversation,
  type LoopEnd,
  newConversation,
  ownChain,
  runAgent,
  think,
} from './agent-loop.ts';
import { AgentInbox } from './agent-inbox.ts';
import { parseInput, parseSignal } from './input.ts';

/** How long an agent waits for its task to find it another sandbox; slots may be taken for hours. */
const SANDBOX_DEADLINE = '12h';
/** Of one turn. Calls that end every sandbox that they run in must not go on for ever. */
const MAX_TRIES = 10;

export async function agent(raw: AgentInput): Promise<AgentResult> {
  const input = parseInput(AgentInput, raw, 'agent');
  const { run, brief } = input;
  let sandbox = input.sandbox;
  let checkpoint = input.carry?.checkpoint;
  // eslint-disable-next-line prefer-const -- a query may read it before there is one
  let talk: Conversation | undefined;

  setHandler(sandboxSignal, (raw) => {
    const next = parseSignal(SandboxRef, raw, 'sandbox');
    if (next !== undefined && next.epoch > sandbox.epoch) sandbox = next;
  });
  const inbox = new AgentInbox(input.carry?.said);
  setHandler(messageSignal, (raw) => {
    const message = parseSignal(AgentMessage, raw, 'message');
    if (message !== undefined) inbox.put(message);
  });
  setHandler(transcriptQuery, (range) => talk?.messages.slice(range?.from ?? 0, range?.to) ?? []);

  talk =
    input.carry === undefined
      ? newConversation(await firstMessages(input), Date.now())
      : { ...input.carry, inputTokens: 0 };
  const limits = run.settings.agent[brief.role];

  async function act(turn: number, calls: ToolCall[], next?: ThinkRequest): Promise<Acted> {
    for (let tries = 1; ; tries++) {
      const used = sandbox;
      const done = await actOnce(used, turn, calls, next);
      if (typeof done === 'object') {
        const { acted, answer } = done;
        if (acted.checkpoint !== undefined) checkpoint = acted.checkpoint;
        return { results: acted.results, answer };
      }
      if (tries >= MAX_TRIES) {
        const tried = `Turn ${turn} was tried ${tries} times, the last in sandbox ${used.id} (lease ${used.epoch})`;
        throw terminal(FailureType.SandboxGone, `${tried}: ${done}.`);
      }
      log.info('no answer from the sandbox; waiting for another', { sandbox: used.id, epoch: used.epoch, why: done });
      const moved = await condition(() => sandbox.epoch > used.epoch, done === 'gone' ? SANDBOX_DEADLINE : '30s');
      if (!moved && done === 'gone') {
        throw terminal(FailureType.SandboxGone, `No sandbox within ${SANDBOX_DEADLINE} after ${used.id} was lost.`);
      }
    }
  }

  async function actOnce(
    used: typeof sandbox,
    turn: number,
    calls: ToolCall[],
    next: ThinkRequest | undefined,
  ): Promise<ActAndThinkResult | 'gone' | 'timeout'> {
    const scope = new CancellationScope();
    let moved = false;
    try {
      const request = { sandbox: used, turn, calls, repo: run.repo, restore: checkpoint, ref: input.ref };
      const summary = summaryOf(calls);
      const running = scope.run(async () => {
        if (next === undefined)
          return { acted: await sandboxActivities(used.queue, { ...actOptions, summary }).act(request) };
        const both = turnActivities(used.queue, { ...actAndThinkOptions, summary: `${summary}; think ${next.turn}` });
        return await both.actAndThink({ act: request, think: next });
      });
      // A lease elsewhere means that this host is lost: its queue would answer too late, or never.
      const watch = new CancellationScope();
      void watch
        .run(() => condition(() => sandbox.id !== used.id))
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

  const end = await runAgent<AgentHandoff>({
    role: brief.role,
    conversation: talk,
    agent: ownChain(),
    ancestors: input.ancestors,
    limits,
    maxOutputTokens: run.settings.maxOutputTokens,
    compactTokens: run.settings.compactTokens,
    ...(input.budget === undefined ? {} : { budget: input.budget }),
    inbox,
    act,
    close: (call) => parseArguments('submit_handoff', call.arguments),
  });

  if (end.kind === 'compact') {
    const messages = await compact(input, talk);
    const { turn, number, metrics, startedAt } = talk;
    return continueAsNew<typeof agent>({
      ...input,
      sandbox,
      carry: { messages, turn, number: number + 1, metrics, startedAt, checkpoint, said: inbox.toJSON() },
    });
  }
  return { handoff: handoffOf(end), metrics: talk.metrics, checkpoint };
}

async function firstMessages({ run, task, brief }: AgentInput): Promise<Message[]> {
  if (brief.role === 'worker') {
    const { attempt, previous, guidance } = brief;
    return (await runActivities.briefWorker({ run, task, attempt, previous, guidance })).messages;
  }
  const { handoff, base, tip, files } = brief;
  return (await runActivities.briefConflict({ run, task, handoff, base, tip, files })).messages;
}

/** The model's own summary in place of the transcript and of an earlier summary, behind the brief. */
async function compact(input: AgentInput, talk: Conversation): Promise<Message[]> {
  talk.messages.push({ role: 'user', text: LOOP_TEXT.compact });
  let summary = '';
  for (let tries = 0; tries < 2 && summary === ''; tries++) {
    const answer = await think(
      {
        role: input.brief.role,
        conversation: talk,
        agent: ownChain(),
        ancestors: input.ancestors,
        maxOutputTokens: input.run.settings.maxOutputTokens,
      },
      [],
    );
    summary = answer.message.text.trim();
  }
  const brief = talk.messages.findIndex((message) => message.role === 'user') + 1;
  return [
    ...talk.messages.slice(0, brief),
    { role: 'user', text: LOOP_TEXT.resumed(summary === '' ? LOOP_TEXT.noSummary : summary) },
  ];
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

function summaryOf(calls: readonly ToolCall[]): string {
  const [first] = calls;
  if (first === undefined) return 'no calls';
  const parsed = first.name === 'bash' ? parseArguments('bash', first.arguments) : undefined;
  const what = parsed?.ok === true ? `bash: ${parsed.value.command}` : first.name;
  const more = calls.length > 1 ? ` (+${calls.length - 1})` : '';
  return `${what.replace(/\s+/g, ' ').slice(0, 100)}${more}`;
}

function isTimeout(error: unknown): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    if (at instanceof TimeoutFailure) return true;
    if (at instanceof ApplicationFailure) return false;
  }
  return false;
}
