/** A real agent from npm inside a real sandbox talks to the gateway on its own loopback; nothing else does. */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rounds } from '../../../../examples/scripted-model/conversation.ts';
import { type ScriptedModel, startScriptedModel } from '../../../../examples/scripted-model/server.ts';
import { write } from '../../../../examples/scripted-model/steps.ts';
import { createModelGateway, type ModelGateway } from '../../../../src/activities/agent/model-gateway/gateway.ts';
import { createModels } from '../../../../src/activities/llm/models.ts';
import { createLocalProvider } from '../../../../src/activities/sandbox/local/provider.ts';
import type { SandboxProvider } from '../../../../src/activities/sandbox/provider.ts';
import { Config } from '../../../../src/shared/config/worker-config.ts';
import { installPi, PI_ARGV } from '../../../support/external-agent.ts';
import { createTestLog } from '../../../support/log.ts';
import { temporaryFolder } from '../../../support/repos.ts';
import { endpointTo, KEY } from '../../llm/support.ts';

const TOKEN = 'token-of-this-task';
const folder = temporaryFolder('agentswarm-gateway-');
let model: ScriptedModel;
let provider: SandboxProvider;
let gateway: ModelGateway;

beforeAll(async () => {
  const bin = installPi();
  model = await startScriptedModel({
    apiKey: KEY,
    models: ['model-a'],
    script: {
      name: 'greeting',
      answer: (conversation) =>
        rounds(conversation).length === 0
          ? { text: 'I write.', calls: [write('greeting.txt', 'hello\n')] }
          : { text: 'The greeting is there.', calls: [] },
    },
  });
  const models = createModels({
    endpoints: [endpointTo({ openaiUrl: `${model.url}/v1`, anthropicUrl: model.url }, 'openai')],
    config: { idleSeconds: 10, firstTokenSeconds: 10 },
    log: createTestLog(),
  });
  gateway = createModelGateway({
    token: TOKEN,
    model: 'agentswarm',
    maxOutputTokens: 4_000,
    limits: { turns: 10, tokens: 1_000_000, minutes: 5 },
    ask: (request) =>
      models.complete({
        ...request,
        role: 'worker',
        run: { workflowId: 'run', firstRunId: 'root-1' },
        conversation: 'c',
        idempotencyKey: 'k',
        abandoned: new AbortController().signal,
        gate: () => Promise.resolve(),
      }),
  });
  provider = await createLocalProvider({
    stateDir: join(folder.dir, 'state'),
    limits: Config.parse({}).sandbox.limits,
    unsafe: false,
    env: { PATH: `${bin}:${process.env.PATH}` },
    log: createTestLog(),
  });
  await provider.create({ id: 'agent', objects: folder.dir });
}, 360_000);

afterAll(async () => {
  await provider?.terminate('agent');
  await model?.stop();
  folder.remove();
});

const run = (argv: readonly string[], serve: boolean) =>
  provider.exec('agent', argv, {
    timeoutMs: 60_000,
    combine: true,
    ...(serve ? { service: { port: 3100, handle: (request, response) => gateway.handle(request, response) } } : {}),
    env: { OPENAI_API_KEY: TOKEN, AGENTSWARM_TASK_FILE: '/tmp/task.md' },
  });

it('writes what the model says, and its calls are counted', async () => {
  await run(['sh', '-c', 'echo "Task: greet" > /tmp/task.md'], false);
  const ended = await run(PI_ARGV, true);
  expect(ended.stdout.toString()).toContain('The greeting is there.');
  expect(ended.exitCode).toBe(0);
  const { stdout } = await run(['cat', 'greeting.txt'], false);
  expect(stdout.toString()).toBe('hello\n');
  expect(gateway.metrics).toMatchObject({ turns: 2, toolCalls: 1 });
  const answered = model.log.filter(({ status }) => status === 200);
  expect(gateway.metrics.inputTokens).toBe(answered.reduce((sum, { inputTokens }) => sum + inputTokens, 0));
}, 90_000);

it('serves no other command, and no provider key is to be found', async () => {
  const without = await run(['curl', '-sS', '--max-time', '2', 'http://127.0.0.1:3100/v1/models'], false);
  expect(without.exitCode).toBe(7);
  const within = await run(
    [
      'sh',
      '-c',
      `curl -sS -H "Authorization: Bearer $OPENAI_API_KEY" http://127.0.0.1:3100/v1/models; env; cat "$HOME"/pi/*.json; ls /run/network`,
    ],
    true,
  );
  expect(within.stdout.toString()).toContain('"agentswarm"');
  expect(within.stdout.toString()).not.toContain(KEY);
}, 60_000);
