import fc from 'fast-check';
import { expect, it } from 'vitest';
import { pairResults } from '../../../src/activities/llm/providers/conversation.ts';
import type { Message } from '../../../src/shared/contracts/agent.ts';
import { shortened } from '../../../src/shared/agent/shorten.ts';

const brief: Message[] = [
  { role: 'system', text: 's'.repeat(50_000) },
  { role: 'user', text: 'b'.repeat(50_000) },
];
const turns = (count: number): Message[] =>
  Array.from({ length: count }, (_, i): Message[] => [
    {
      role: 'assistant',
      text: `turn ${i}`,
      toolCalls: [{ id: `c${i}`, name: 'write', arguments: `{"content":"${'w'.repeat(9_000)}"}` }],
    },
    {
      role: 'tool',
      results: [{ callId: `c${i}`, name: 'write', status: 'ok', output: `head${'o'.repeat(20_000)}tail` }],
    },
  ]).flat();
const size = (messages: readonly Message[]) => JSON.stringify(messages).length;

it('brief and newest turns stay; the brief is not cut', () => {
  const short = shortened([...brief, ...turns(100)], 2, 1);
  expect(short.slice(0, 2)).toEqual(brief);
  expect(JSON.stringify(short.at(-2))).toContain('turn 99');
  expect(JSON.stringify(short.at(-1))).toMatch(/head.*tail/);
});

it('each step cuts harder', () => {
  const sizes = [1, 2, 3, 4, 5].map((harder) => size(shortened([...brief, ...turns(100)], 2, harder).slice(2)));
  for (const [i, bytes] of sizes.entries()) if (i > 0) expect(bytes).toBeLessThan((sizes[i - 1] ?? 0) * 0.7);
});

it('what is left is a conversation: every result has its call, and calls keep arguments that are JSON', () => {
  for (const harder of [1, 2, 3, 4, 5, 6]) {
    for (const extra of [0, 1]) {
      const whole = [...brief, ...turns(100), ...(extra === 0 ? [] : [{ role: 'user' as const, text: 'more' }])];
      const short = shortened(whole, 2, harder);
      expect(pairResults(short)).toEqual(short);
      for (const message of short) {
        if (message.role !== 'assistant') continue;
        for (const call of message.toolCalls) expect(() => JSON.parse(call.arguments) as unknown).not.toThrow();
      }
    }
  }
});

it('however hard it is cut: the brief is whole, results follow their calls, arguments are JSON, and no letter is halved', () => {
  const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 50 }), fc.constant('🧵x'.repeat(3_000)));
  const call = fc.record({
    id: fc.string(),
    name: fc.string(),
    arguments: text.map((each) => JSON.stringify({ each })),
  });
  const round = fc
    .tuple(text, fc.array(call, { minLength: 1, maxLength: 3 }), text)
    .map(([said, toolCalls, output]): Message[] => [
      { role: 'assistant', text: said, toolCalls },
      { role: 'tool', results: toolCalls.map(({ id, name }) => ({ callId: id, name, status: 'ok', output })) },
    ]);
  const brief: Message[] = [
    { role: 'system', text: 's'.repeat(9_000) },
    { role: 'user', text: 'u'.repeat(9_000) },
  ];
  fc.assert(
    fc.property(fc.array(round, { maxLength: 60 }), fc.integer({ min: 1, max: 8 }), (rounds, harder) => {
      const messages = [...brief, ...rounds.flat()];
      const short = shortened(messages, brief.length, harder);
      expect(short.slice(0, brief.length)).toEqual(brief);
      expect(JSON.stringify(short).length).toBeLessThanOrEqual(JSON.stringify(messages).length + 100 * short.length);
      short.forEach((message, i) => {
        if (message.role === 'tool') {
          const before = short[i - 1];
          if (before?.role !== 'assistant') throw new Error(`results without calls at ${i}`);
          expect(message.results.map(({ callId }) => callId)).toEqual(before.toolCalls.map(({ id }) => id));
        }
        if (message.role === 'assistant') for (const each of message.toolCalls) JSON.parse(each.arguments);
        expect(JSON.stringify(message)).not.toMatch(/\\ud[89a-f][0-9a-f]{2}/);
      });
    }),
    { seed: 20_261_122, numRuns: 200 },
  );
});
