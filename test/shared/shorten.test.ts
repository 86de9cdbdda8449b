import { expect, it } from 'vitest';
import { pairResults } from '../../src/activities/llm/providers/conversation.ts';
import type { Message } from '../../src/shared/contracts/agent.ts';
import { shortened } from '../../src/shared/shorten.ts';

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
