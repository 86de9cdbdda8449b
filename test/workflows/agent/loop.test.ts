/** The loop with models of every kind, without a server: what it asks, runs, refuses, and that it ends. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type {
  Limits,
  Message,
  ThinkRequest,
  ThinkResult,
  ToolCall,
  ToolResult,
} from '../../../src/shared/contracts/agent.ts';
import type { Budget } from '../../../src/shared/contracts/budget.ts';
import { FailureType, terminal } from '../../../src/shared/base/failures.ts';
import { LOOP_TEXT } from '../../../src/shared/agent/text.ts';
import { parseArguments, ROLE_TOOLS } from '../../../src/shared/agent/tools.ts';
import { type Conversation, newConversation } from '../../../src/workflows/agent/conversation.ts';
import { compacted } from '../../../src/workflows/agent/compaction.ts';
import { type ClosingTurn, type LoopEnd, runAgent } from '../../../src/workflows/agent/loop.ts';

const LIMITS: Limits = { turns: 50, tokens: 1_000_000, minutes: 60 };
const BRIEF: Message[] = [
  { role: 'system', text: 'You are a test.' },
  { role: 'user', text: 'Do it.' },
];
const MINUTE = 60_000;

/** One answer of a model: its text and calls, what it costs, and how long it takes. */
type Said = {
  text?: string;
  calls?: { name: string; arguments?: string }[];
  tokens?: number;
  costUsd?: number;
  minutes?: number;
  tooLong?: boolean;
};

type World = {
  talk: Conversation;
  asked: { question: ThinkRequest; messages: Message[] }[];
  ran: ToolCall[];
  closings: ClosingTurn[];
  end: LoopEnd<string>;
};

const HANDOFF = JSON.stringify({ status: 'complete', summary: 'Done.' });
const bash = (command = 'true') => ({ name: 'bash', arguments: JSON.stringify({ command }) });
const handoff = { name: 'submit_handoff', arguments: HANDOFF };

/** Plays a model against the loop; `say` is asked for each call, `output` for each tool that runs. */
async function play(
  say: (turn: number, messages: readonly Message[]) => Said,
  options: {
    limits?: Limits;
    budget?: Budget;
    compactTokens?: number;
    output?: (call: ToolCall) => string;
    minutesOfTools?: number;
  } = {},
): Promise<World> {
  const world: Omit<World, 'end'> = { talk: newConversation([...BRIEF], 0), asked: [], ran: [], closings: [] };
  let now = 0;
  const ask = async (question: ThinkRequest, messages: readonly Message[]): Promise<ThinkResult> => {
    world.asked.push({ question, messages: [...messages] });
    const { text = '', calls = [], tokens = 100, costUsd = 0.01, minutes = 0, tooLong } = say(question.turn, messages);
    now += minutes * MINUTE;
    if (tooLong === true) throw terminal(FailureType.ContextTooLong, 'too long');
    const toolCalls = calls.map((call, i) => ({
      id: `c${question.turn}-${i}`,
      name: call.name,
      arguments: call.arguments ?? '{}',
    }));
    return {
      message: { role: 'assistant', text, toolCalls },
      usage: { inputTokens: tokens, cachedInputTokens: 0, outputTokens: 10 },
      costUsd,
      endpoint: 'test',
      model: 'test',
      stop: 'end',
      attempts: 1,
      durationMs: 1,
    };
  };
  const end = await runAgent<string>({
    role: 'worker',
    conversation: world.talk,
    agent: { workflowId: 'a', firstRunId: '1' },
    ancestors: [],
    maxOutputTokens: 1_000,
    compactTokens: options.compactTokens ?? 500_000,
    limits: options.limits ?? LIMITS,
    ...(options.budget === undefined ? {} : { budget: options.budget }),
    now: () => now,
    ask: (question) => ask(question, world.talk.messages),
    async act(_turn, calls, next) {
      world.ran.push(...calls);
      now += (options.minutesOfTools ?? 0) * MINUTE;
      const results = calls.map(({ id, name, arguments: text }): ToolResult => {
        const output = options.output?.({ id, name, arguments: text }) ?? `ran ${id}`;
        return { callId: id, name, status: 'ok', output };
      });
      if (next === undefined) return { results };
      const messages: Message[] = [...world.talk.messages, { role: 'tool', results }];
      return { results, answer: await ask(next, messages).catch(() => undefined) };
    },
    close(call, at) {
      world.closings.push(at);
      const parsed = parseArguments('submit_handoff', call.arguments);
      return parsed.ok ? { ok: true, value: parsed.value.summary } : parsed;
    },
  });
  return { ...world, end };
}

const outputs = ({ talk }: World): string[] =>
  talk.messages.flatMap((message) => (message.role === 'tool' ? message.results.map(({ output }) => output) : []));

describe('the agent loop', () => {
  it('offers the same tools in each call, the last one included', async () => {
    const world = await play((turn) => ({ calls: turn > 3 ? [handoff] : [bash(`${turn}`)] }), {
      limits: { ...LIMITS, turns: 3 },
    });
    expect(world.end).toEqual({ kind: 'closed', value: 'Done.' });
    expect(world.asked).toHaveLength(4);
    for (const { question } of world.asked) expect(question.tools).toEqual(ROLE_TOOLS.worker.tools);
  });

  it('runs nothing in the last turn, and says of a handoff what was refused in front of it', async () => {
    const world = await play((turn) => ({ calls: turn > 2 ? [bash('late'), handoff] : [bash(`${turn}`)] }), {
      limits: { ...LIMITS, turns: 2 },
    });
    expect(world.ran.map(({ arguments: text }) => text)).toEqual(['{"command":"1"}', '{"command":"2"}']);
    expect(outputs(world)).toContain(LOOP_TEXT.lastTurnOnly('submit_handoff'));
    expect(world.closings).toEqual([{ last: true, refused: 1 }]);
  });

  it('stops one that does not close in its last turn', async () => {
    const world = await play((turn) => ({ calls: [bash(`${turn}`)] }), { limits: { ...LIMITS, turns: 5 } });
    expect(world.end).toMatchObject({ kind: 'stopped', by: 'limit' });
    expect(world.ran).toHaveLength(5);
    expect(world.asked).toHaveLength(6);
  });

  it('runs no tool of an answer that came after the time was over, and gives a last turn', async () => {
    const say = (turn: number): Said => (turn === 1 ? { calls: [bash()], minutes: 61 } : { calls: [handoff] });
    const world = await play(say);
    expect(world.ran).toEqual([]);
    expect(outputs(world)[0]).toBe(LOOP_TEXT.tooLate('The limit of 60 minutes is reached.'));
    expect(world.end).toMatchObject({ kind: 'closed' });
  });

  it('takes a handoff that came after the time was over', async () => {
    const world = await play(() => ({ calls: [handoff], minutes: 61 }));
    expect(world.end).toMatchObject({ kind: 'closed' });
    expect(world.asked).toHaveLength(1);
  });

  it('looks at the time after the tools too', async () => {
    const world = await play((turn) => ({ calls: [bash(`${turn}`)] }), { minutesOfTools: 61 });
    expect(world.ran).toHaveLength(1);
    expect(world.end).toMatchObject({ kind: 'stopped', by: 'limit', reason: 'The limit of 60 minutes is reached.' });
  });
});

describe('a summary', () => {
  const summed = async (answers: Said[]) => {
    const talk = newConversation([...BRIEF, { role: 'assistant', text: 'I began.', toolCalls: [] }], 0);
    const tools: string[][] = [];
    const messages = await compacted(
      {
        role: 'worker',
        conversation: talk,
        agent: { workflowId: 'a', firstRunId: '1' },
        ancestors: [],
        maxOutputTokens: 1_000,
        async ask(question) {
          tools.push(question.tools);
          const { text = '', calls = [] } = answers[tools.length - 1] ?? {};
          const toolCalls = calls.map((call, i) => ({ id: `c${i}`, name: call.name, arguments: '{}' }));
          return {
            message: { role: 'assistant', text, toolCalls },
            usage: { inputTokens: 1, cachedInputTokens: 0, outputTokens: 1 },
            costUsd: 0,
            endpoint: 'test',
            model: 'test',
            stop: 'end',
            attempts: 1,
            durationMs: 1,
          };
        },
      },
      { tooLong: false },
    );
    return { tools, last: messages.at(-1) };
  };

  it('is asked for with the tools as ever, so that what the provider has cached is used', async () => {
    const { tools, last } = await summed([{ text: 'So far so good.' }]);
    expect(tools).toEqual([[...ROLE_TOOLS.worker.tools]]);
    expect(last).toEqual({ role: 'user', text: LOOP_TEXT.resumed('So far so good.') });
  });

  it('is asked for without tools from a model that called one', async () => {
    const { tools, last } = await summed([{ text: 'I look.', calls: [bash()] }, { text: 'So far.' }]);
    expect(tools).toEqual([[...ROLE_TOOLS.worker.tools], []]);
    expect(last).toEqual({ role: 'user', text: LOOP_TEXT.resumed('So far.') });
  });

  it('that nobody gives is replaced by a look at the work tree', async () => {
    const { tools, last } = await summed([]);
    expect(tools).toHaveLength(2);
    expect(last).toEqual({ role: 'user', text: LOOP_TEXT.resumed(LOOP_TEXT.noSummary) });
  });
});

describe('with odd models', () => {
  const odd = fc.oneof(
    fc.constantFrom(
      HANDOFF,
      '',
      '{}',
      'null',
      '[]',
      '{"status":"complete"',
      '{"status":"done","summary":"x"}',
      '{"command":"ls"}',
    ),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.json({ maxDepth: 3 }),
  );
  const call = fc.record({
    name: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...ROLE_TOOLS.worker.tools) },
      { weight: 1, arbitrary: fc.constantFrom('toString', '__proto__', 'constructor', '', 'Bash', 'submit_plan') },
      { weight: 1, arbitrary: fc.string({ maxLength: 20 }) },
    ),
    arguments: odd,
  });
  const said: fc.Arbitrary<Said> = fc.record({
    text: fc.constantFrom('', ' ', 'I work.'),
    calls: fc.oneof(fc.array(call, { maxLength: 3 }), fc.array(call, { minLength: 17, maxLength: 40 })),
    tokens: fc.oneof(fc.integer({ min: 0, max: 2_000 }), fc.constant(600_000)),
    costUsd: fc.constantFrom(0, 0.01, 3),
    minutes: fc.constantFrom(0, 0, 0, 1, 70),
    tooLong: fc.integer({ min: 0, max: 30 }).map((n) => n === 0),
  });
  const limits = fc.record({
    turns: fc.integer({ min: 1, max: 12 }),
    tokens: fc.constantFrom(1_000, 100_000, 2_000_000),
    minutes: fc.constantFrom(0.5, 10, 60),
    costUsd: fc.constantFrom(0.02, 5),
  });

  it('ends within its limits, answers each call once, and never uses a turn twice: 200 seeded runs', async () => {
    const ends: string[] = [];
    await fc.assert(
      fc.asyncProperty(fc.array(said, { minLength: 1, maxLength: 20 }), limits, async (answers, most) => {
        let world: World;
        try {
          world = await play((turn) => answers[turn % answers.length] ?? {}, { limits: most });
        } catch (error) {
          // Of a conversation that has nothing to compact: its task fails, in the provider's words.
          expect(String(error)).toContain('too long');
          ends.push('too long');
          return;
        }
        ends.push(world.end.kind);
        const { talk, asked, ran, end } = world;
        expect(asked.length).toBeLessThanOrEqual(most.turns + 2);
        const turns = asked.map(({ question }) => question.turn);
        expect(new Set(turns).size).toBe(turns.length);
        for (const { question, messages } of asked) expect(question.messageCount).toBeLessThanOrEqual(messages.length);
        const ids = ran.map(({ id }) => id);
        expect(new Set(ids).size).toBe(ids.length);
        expect(ran.map(({ name }) => name)).not.toContain('submit_handoff');
        // What both providers' protocols want: each call has its result, right behind it and in order.
        const { messages } = talk;
        messages.forEach((message, i) => {
          if (message.role !== 'assistant' || message.toolCalls.length === 0) return;
          const next = messages[i + 1];
          if (next?.role !== 'tool') throw new Error(`no results after message ${i}`);
          expect(next.results.map(({ callId }) => callId)).toEqual(message.toolCalls.map(({ id }) => id));
        });
        if (end.kind === 'compact') return;
        const closings = messages.flatMap((m) =>
          m.role === 'tool' ? m.results.filter((r) => r.output === 'Accepted.') : [],
        );
        expect(closings).toHaveLength(end.kind === 'closed' ? 1 : 0);
      }),
      { seed: 20_261_122, numRuns: 200 },
    );
    // The property says nothing if all of them end alike.
    expect(new Set(ends).size).toBeGreaterThanOrEqual(4);
  });

  it('never spends more than a budget by more than the call in flight', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 400_000 }),
        fc.integer({ min: 10, max: 5_000 }),
        async (tokens, each) => {
          const world = await play((turn) => ({ calls: [bash(`${turn}`)], tokens: each }), { budget: { tokens } });
          const { inputTokens, outputTokens } = world.talk.metrics;
          expect(inputTokens + outputTokens).toBeLessThanOrEqual(Math.max(tokens, 0) + each + 10);
          expect(world.end).toMatchObject({ kind: 'stopped' });
        },
      ),
      { seed: 20_261_123, numRuns: 200 },
    );
  });
});
