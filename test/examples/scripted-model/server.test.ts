import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterEach, describe, expect, test } from 'vitest';
import type { Script } from '../../../examples/scripted-model/conversation.ts';
import type { LoggedRequest } from '../../../examples/scripted-model/request-log.ts';
import {
  type ScriptedModel,
  type ScriptedModelOptions,
  startScriptedModel,
} from '../../../examples/scripted-model/server.ts';
import { anthropicClient, MODEL, openAiClient, type Said } from '../model-client.ts';

/** Says what it saw, and calls two tools with text that is longer than a piece of a stream. */
const LONG = 'ä€😀"\\\n'.repeat(600);
const echo: Script = {
  name: 'echo',
  answer: (conversation) => ({
    text: JSON.stringify(conversation.turns),
    calls: conversation.tools.includes('write')
      ? [
          { name: 'write', arguments: { path: 'a', content: LONG } },
          { name: 'ls', arguments: {} },
        ]
      : [],
  }),
};

let model: ScriptedModel | undefined;
const start = async (options: Partial<ScriptedModelOptions> = {}): Promise<ScriptedModel> => {
  model = await startScriptedModel({ script: echo, ...options });
  return model;
};
afterEach(async () => {
  await model?.stop();
  model = undefined;
});

const CONVERSATION: Said[] = [
  { role: 'system', text: '# Worker' },
  { role: 'user', text: 'Task: a-task\nAttempt: 1' },
  { role: 'assistant', text: 'I look.', calls: [{ id: 'call_1_0', name: 'ls', arguments: '{"path":"x"}' }] },
  { role: 'tool', results: [{ callId: 'call_1_0', status: 'interrupted', output: 'It was interrupted.' }] },
];

describe.each([
  ['OpenAI', openAiClient],
  ['Anthropic', anthropicClient],
] as const)('the SDK of %s', (_name, client) => {
  test('gets text and whole tool calls out of the stream, with ids of their own', async () => {
    const { url } = await start();
    const answer = await client(url)(CONVERSATION, ['write', 'ls', 'submit_handoff']);
    expect(answer.calls.map((call) => call.name)).toEqual(['write', 'ls']);
    expect(JSON.parse(answer.calls[0]?.arguments ?? '')).toEqual({ path: 'a', content: LONG });
    expect(JSON.parse(answer.calls[1]?.arguments ?? '')).toEqual({});
    expect(new Set(['call_1_0', ...answer.calls.map((call) => call.id)]).size).toBe(3);
  });

  test('sends what the script then sees, an interrupted call among it', async () => {
    const { url } = await start();
    const answer = await client(url)(CONVERSATION, ['submit_handoff']);
    expect(JSON.parse(answer.text)).toMatchObject([
      { role: 'user', text: 'Task: a-task\nAttempt: 1' },
      { role: 'assistant', text: 'I look.', calls: [{ id: 'call_1_0', name: 'ls', arguments: { path: 'x' } }] },
      { role: 'tool', results: [{ callId: 'call_1_0', status: 'interrupted' }] },
    ]);
  });

  test('gets usage that is the same each time, and a prefix that is cached once it was answered', async () => {
    const { url } = await start();
    const ask = client(url);
    const first = await ask(CONVERSATION.slice(0, 2), ['ls']);
    const again = await ask(CONVERSATION.slice(0, 2), ['ls']);
    const second = await ask(CONVERSATION, ['ls']);
    expect(again).toEqual(first);
    expect(first.usage.cached).toBe(0);
    expect(second.usage.cached).toBe(first.usage.input);
    expect(second.usage.input).toBeGreaterThan(first.usage.input);
    expect(first.usage.output).toBeGreaterThan(0);
  });

  test('is refused with a wrong key, and let in with the right one', async () => {
    const { url, log } = await start({ apiKey: 'right' });
    await expect(client(url, 'wrong')(CONVERSATION, [])).rejects.toMatchObject({ status: 401 });
    await expect(client(url, 'right')(CONVERSATION, [])).resolves.toMatchObject({ calls: [] });
    expect(log.length).toBe(1);
  });

  test('is told that a model does not exist, and which do', async () => {
    const { url } = await start({ models: ['other'] });
    await expect(client(url)(CONVERSATION, [])).rejects.toMatchObject({ status: 404, message: /other/ });
  });

  test('is told when the script fails', async () => {
    const broken: Script = {
      name: 'broken',
      answer: () => {
        throw new Error('no such scene');
      },
    };
    const { url } = await start({ script: broken });
    await expect(client(url)(CONVERSATION, [])).rejects.toMatchObject({ status: 500, message: /no such scene/ });
  });
});

test('both SDKs list the models and find one of them', async () => {
  const { url } = await start({ apiKey: 'k' });
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'k', maxRetries: 0 });
  const anthropic = new Anthropic({ baseURL: url, apiKey: 'k', maxRetries: 0 });
  expect((await openai.models.list()).data.map(({ id }) => id)).toEqual([MODEL]);
  expect((await anthropic.models.list()).data.map(({ id }) => id)).toEqual([MODEL]);
  expect((await openai.models.retrieve(MODEL)).id).toBe(MODEL);
  await expect(anthropic.models.retrieve('nobody')).rejects.toMatchObject({ status: 404 });
  await expect(new OpenAI({ baseURL: `${url}/v1`, apiKey: 'x', maxRetries: 0 }).models.list()).rejects.toMatchObject({
    status: 401,
  });
});

test('without streaming the answer comes whole, over both protocols', async () => {
  const { url } = await start();
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'k', maxRetries: 0 });
  const completion = await openai.chat.completions.create({
    model: MODEL,
    messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }],
    tools: [{ type: 'function', function: { name: 'write' } }],
  });
  expect(completion.choices[0]?.finish_reason).toBe('tool_calls');
  expect(completion.choices[0]?.message.content).toContain('hello');
  const anthropic = new Anthropic({ baseURL: url, apiKey: 'k', maxRetries: 0 });
  const message = await anthropic.messages.create({
    model: MODEL,
    max_tokens: 10,
    messages: [{ role: 'user', content: 'hello' }],
  });
  expect(message.stop_reason).toBe('end_turn');
  expect(message.content).toMatchObject([{ type: 'text', text: '[{"role":"user","text":"hello"}]' }]);
});

test('what the protocol does not allow is refused with what is wrong', async () => {
  const { url } = await start();
  const post = async (path: string, body: string): Promise<{ status: number; text: string }> => {
    const response = await fetch(`${url}${path}`, { method: 'POST', body });
    return { status: response.status, text: await response.text() };
  };
  expect(await post('/v1/chat/completions', '{"model":')).toMatchObject({ status: 400, text: /not JSON/ });
  expect(await post('/v1/chat/completions', '{"model":"m"}')).toMatchObject({ status: 400, text: /messages/ });
  expect(await post('/v1/messages', '{"model":"m","messages":[]}')).toMatchObject({ status: 400, text: /max_tokens/ });
  expect(await post('/v1/other', '{}')).toMatchObject({ status: 404 });
});

test('the log has every request with its key, role, task, times and end, in memory, at /log and in a file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'agentswarm-log-'));
  try {
    const logFile = join(folder, 'log.ndjson');
    const { url, log } = await start({ latencyMs: 150, logFile });
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'k', maxRetries: 0 });
    const request = {
      model: MODEL,
      messages: [{ role: 'user' as const, content: 'Task: t\nAttempt: 1' }],
      tools: [{ type: 'function' as const, function: { name: 'submit_handoff' } }],
    };
    await openai.chat.completions.create(request, { headers: { 'Idempotency-Key': 'run/1/7' } });
    const leave = new AbortController();
    const left = openai.chat.completions.create(request, { signal: leave.signal });
    await sleep(50);
    expect(((await (await fetch(`${url}/log`)).json()) as LoggedRequest[])[1]).toMatchObject({
      number: 2,
      endedAt: null,
    });
    leave.abort();
    await expect(left).rejects.toThrow();
    await expect.poll(() => log[1]?.endedAt).not.toBe(null);

    const entries = (await (await fetch(`${url}/log`)).json()) as LoggedRequest[];
    expect(entries).toEqual(log);
    expect(entries).toMatchObject([
      {
        number: 1,
        idempotencyKey: 'run/1/7',
        protocol: 'openai',
        role: 'worker',
        task: 't',
        model: MODEL,
        stream: false,
        status: 200,
        aborted: false,
      },
      { number: 2, idempotencyKey: null, status: null, aborted: true },
    ]);
    const [first] = entries;
    expect((first?.endedAt ?? 0) - (first?.receivedAt ?? 0)).toBeGreaterThanOrEqual(145);
    const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(entries);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('as a process it says where it is, answers, wants its key, and stops when asked', async () => {
  const main = new URL('../../../examples/scripted-model/main.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [main, '--example', 'python-library', '--api-key-env', 'SCRIPT_KEY'], {
    env: { PATH: process.env['PATH'], SCRIPT_KEY: 'secret' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const url = await new Promise<string>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`it ended with ${code}`)));
      child.stdout.on('data', (data: Buffer) => {
        const found = /scripted model .* at (http:\S+)/.exec(data.toString())?.[1];
        if (found !== undefined) resolve(found);
      });
    });
    const answer = await openAiClient(url, 'secret')(
      [{ role: 'user', text: 'the spec' }],
      ['ls', 'read', 'submit_plan'],
    );
    expect(answer.calls.map((call) => call.name)).toEqual(['ls', 'read']);
    await expect(openAiClient(url, 'other')([{ role: 'user', text: 'x' }], [])).rejects.toMatchObject({ status: 401 });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  } finally {
    child.kill('SIGKILL');
  }
});

test('a port that is taken is an error, not a wait', async () => {
  const { url } = await start();
  await expect(startScriptedModel({ script: echo, port: Number(new URL(url).port) })).rejects.toThrow(/EADDRINUSE/);
});
