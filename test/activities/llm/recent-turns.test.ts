import { expect, test } from 'vitest';
import { RecentTurns } from '../../../src/activities/llm/recent-turns.ts';
import type { AssistantMessage, Message, ToolResult } from '../../../src/shared/contracts/agent.ts';
import { tailDigest } from '../../../src/shared/digest.ts';

const AGENT = { workflowId: 'run/a.1/agent', runId: 'r1' };
const answer: AssistantMessage = {
  role: 'assistant',
  text: 'on it',
  toolCalls: [{ id: '1', name: 'ls', arguments: '{}' }],
};
const result = (output: string): ToolResult => ({ callId: '1', name: 'ls', status: 'ok', output });
const history = (output: string): Message[] => [
  { role: 'user', text: 'go' },
  // As the workflow has them: decoded from JSON.
  ...(JSON.parse(JSON.stringify([answer, { role: 'tool', results: [result(output)] }])) as Message[]),
];

function turnOne(): RecentTurns {
  const turns = new RecentTurns();
  turns.answered(AGENT, 1, answer);
  turns.acted(AGENT, 1, [result('a.ts')]);
  return turns;
}

test('a turn that this process made is known without asking', () => {
  const messages = turnOne().newest(AGENT, { turn: 2, tail: tailDigest(history('a.ts')) });
  expect(messages).toEqual(history('a.ts').slice(1));
});

test('results that are not what history has are not used: the turn was run again elsewhere', () => {
  expect(turnOne().newest(AGENT, { turn: 2, tail: tailDigest(history('b.ts')) })).toBeUndefined();
});

test('neither are those of another turn, another run of the chain, or of a turn whose tools ran elsewhere', () => {
  const tail = tailDigest(history('a.ts'));
  expect(turnOne().newest(AGENT, { turn: 3, tail })).toBeUndefined();
  expect(turnOne().newest({ ...AGENT, runId: 'r2' }, { turn: 2, tail })).toBeUndefined();
  const turns = new RecentTurns();
  turns.answered(AGENT, 1, answer);
  expect(turns.newest(AGENT, { turn: 2, tail })).toBeUndefined();
});
