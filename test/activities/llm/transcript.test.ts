import { expect, test } from 'vitest';
import { RecentMessages } from '../../../src/activities/llm/recent-messages.ts';
import { Transcripts } from '../../../src/activities/llm/transcript.ts';
import { type Message, type TranscriptRange, tailDigest } from '../../../src/shared/contracts/agent.ts';

const history: Message[] = Array.from({ length: 10 }, (_, i) => ({ role: 'user', text: `message ${i}` }));
const part = { workflowId: 'w', runId: 'r', conversation: 0 };

function recorded(messages = history) {
  const asked: TranscriptRange[] = [];
  const transcripts = new Transcripts({
    async fetch(_workflowId, _runId, range) {
      asked.push(range);
      return messages.slice(range.from, range.to);
    },
  });
  return { transcripts, asked };
}

test('only what is not known yet is asked for', async () => {
  const { transcripts, asked } = recorded();
  expect(await transcripts.get({ ...part, count: 2 })).toEqual(history.slice(0, 2));
  expect(await transcripts.get({ ...part, count: 5 })).toEqual(history.slice(0, 5));
  expect(await transcripts.get({ ...part, count: 3 })).toEqual(history.slice(0, 3));
  expect(asked).toEqual([
    { from: 0, to: 2 },
    { from: 2, to: 5 },
  ]);
});

test('another conversation, run or workflow is not mixed up with it', async () => {
  const { transcripts, asked } = recorded();
  await transcripts.get({ ...part, count: 2 });
  await transcripts.get({ ...part, conversation: 1, count: 2 });
  await transcripts.get({ ...part, runId: 'r2', count: 2 });
  await transcripts.get({ ...part, workflowId: 'w2', count: 2 });
  expect(asked).toEqual(Array(4).fill({ from: 0, to: 2 }));
});

test('a workflow that gives fewer messages than there must be is an error that says so, and is asked anew', async () => {
  const messages = history.slice(0, 3);
  const { transcripts, asked } = recorded(messages);
  await expect(transcripts.get({ ...part, count: 5 })).rejects.toThrow(
    'Cannot read messages 0 to 5 of the transcript of w (run r): it gave 3 messages',
  );
  messages.push(...history.slice(3));
  expect(await transcripts.get({ ...part, count: 5 })).toEqual(history.slice(0, 5));
  expect(asked).toHaveLength(2);
});

test('what is no transcript is refused', async () => {
  const transcripts = new Transcripts({ fetch: async () => [{ role: 'robot' }] as unknown as Message[] });
  await expect(transcripts.get({ ...part, count: 1 })).rejects.toThrow('Cannot read messages 0 to 1');
});

test('messages that this process made are not asked for, where they fit what the workflow has', async () => {
  const { transcripts, asked } = recorded();
  await transcripts.get({ ...part, count: 2 });
  const grown = { ...part, count: 4, tail: tailDigest(history.slice(0, 4)) };
  expect(await transcripts.get({ ...grown, made: history.slice(1, 4) })).toEqual(history.slice(0, 4));
  expect(asked).toEqual([{ from: 0, to: 2 }]);
});

test('messages that the workflow has otherwise, or too few of them, are asked for', async () => {
  const tail = tailDigest(history.slice(0, 4));
  for (const made of [[history[2]!, { role: 'user' as const, text: 'run again elsewhere' }], [history[3]!], []]) {
    const { transcripts, asked } = recorded();
    await transcripts.get({ ...part, count: 2 });
    expect(await transcripts.get({ ...part, count: 4, tail, made })).toEqual(history.slice(0, 4));
    expect(asked[1]).toEqual({ from: 2, to: 4 });
  }
});

test('an agent is told apart by its run, and its last three messages are kept', () => {
  const recent = new RecentMessages();
  const agent = { workflowId: 'run/a.1/agent', runId: 'r1' };
  for (const message of history) recent.add(agent, message);
  expect(recent.of(agent)).toEqual(history.slice(-3));
  expect(recent.of({ ...agent, runId: 'r2' })).toEqual([]);
});
