import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CancelledFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { describe, expect, test } from 'vitest';
import { createCommandActivities } from '../../../src/activities/agent/external-agent.ts';
import type { ModelAnswer, Models } from '../../../src/activities/llm/models.ts';
import type { Sandboxes } from '../../../src/activities/sandbox/index.ts';
import { usedBefore } from '../../../src/shared/agent/failure.ts';
import type { CommandRequest } from '../../../src/shared/contracts/agent-command.ts';
import { NO_METRICS } from '../../../src/shared/contracts/task.ts';
import { FailureType, terminal } from '../../../src/shared/base/failures.ts';
import { createTestLog } from '../../support/log.ts';

const MAX_OUTPUT = 5_000;
const CHAIN = { workflowId: 'run-1/alpha.1/agent', firstRunId: 'first' };
const REQUEST: CommandRequest = {
  sandbox: { id: 's', epoch: 1, queue: 'host' },
  role: 'worker',
  argv: ['an-agent'],
  task: 'Do it.',
  limits: { turns: 10, tokens: 1_000_000, minutes: 10 },
  minutesLeft: 10,
  used: NO_METRICS,
  maxOutputTokens: MAX_OUTPUT,
  agent: CHAIN,
  ancestors: [],
};
const ANSWER = {
  completion: { text: 'Go on.', toolCalls: [], stop: 'end' },
  tokens: { inputTokens: 300, cachedInputTokens: 0, outputTokens: 100 },
  costUsd: 0.04,
  durationMs: 5,
} as unknown as ModelAnswer;

type Result = Awaited<ReturnType<Sandboxes['exec']>>;
type Post = (path: string, body: string) => Promise<unknown>;

/** The activity over an agent that is what `agent` does, with its models behind a real server. */
async function runAgent(
  complete: Models['complete'],
  agent: (post: Post, env: Record<string, string>) => Promise<Partial<Result>>,
  environment = new MockActivityEnvironment(),
): Promise<unknown> {
  const exec: Sandboxes['exec'] = async (_, argv, { service, env, signal }) => {
    const result = { stdout: Buffer.from('/tmp/task.md'), tail: Buffer.alloc(0), reason: 'exit', exitCode: 0 };
    if (argv[0] !== 'an-agent') return result as never;
    const server = createServer((request, response) => void service?.handle(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const post: Post = (path, body) =>
        fetch(`${url}${path}`, {
          method: 'POST',
          headers: { authorization: `Bearer ${env?.OPENAI_API_KEY}`, 'content-type': 'application/json' },
          body,
          ...(signal === undefined ? {} : { signal }),
        })
          .then((response) => response.text())
          .catch(() => undefined);
      return { ...result, ...(await agent(post, env as Record<string, string>)) } as never;
    } finally {
      server.closeAllConnections();
      server.close();
    }
  };
  const { runCommand } = createCommandActivities({
    exec,
    models: { complete } as Models,
    chains: { check: () => Promise.resolve({ kind: 'running', paused: false }) },
    inbox: { messages: () => Promise.resolve([]) },
    log: createTestLog(),
  });
  return await environment.run(runCommand, REQUEST);
}

const QUESTION = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'What now?' }] });

/** An agent that asks `calls` times, one after the other; its model answers the first `answered` of them. */
async function cancelledInCall({ calls, answered }: { calls: number; answered: number }): Promise<unknown> {
  const environment = new MockActivityEnvironment();
  let asked = 0;
  const complete: Models['complete'] = async ({ signal }) => {
    asked += 1;
    if (asked <= answered) return ANSWER;
    environment.cancel();
    await once(signal, 'abort');
    throw signal.reason;
  };
  const agent = async (post: Post): Promise<Partial<Result>> => {
    for (let call = 0; call < calls; call++) await post('/v1/chat/completions', QUESTION);
    if (calls === answered) environment.cancel();
    return { reason: 'aborted' };
  };
  return await runAgent(complete, agent, environment).then(
    () => 'it ended',
    (error: unknown) => error,
  );
}

describe('an external agent that ends', () => {
  const saying = (text: string) => ({ ...ANSWER, completion: { ...ANSWER.completion, text } });

  test("is told by its model's words, and what it was refused by the network apart", async () => {
    const result = await runAgent(
      () => Promise.resolve(saying('The greeting is there.')),
      async (post, env) => {
        await post('/v1/chat/completions', QUESTION);
        return { tail: Buffer.from(`\u001b[0m> build\u001b[31m ${env['OPENAI_API_KEY']}\n`), refused: ['No way out.'] };
      },
    );
    expect(result).toMatchObject({
      exitCode: 0,
      output: '> build [token]',
      said: 'The greeting is there.',
      answered: 1,
      notes: ['No way out.'],
    });
    expect(result).not.toHaveProperty('unanswered');
  });

  test('is known to have had no answer to its last call, whatever its exit code', async () => {
    const refused = terminal(FailureType.RequestRefused, 'The provider refuses this request: no such field.');
    const answers = [() => Promise.resolve(saying('I begin.')), () => Promise.reject(refused)];
    const result = await runAgent(
      () => (answers.shift() as () => Promise<ModelAnswer>)(),
      async (post) => {
        for (let call = 0; call < 2; call++) await post('/v1/chat/completions', QUESTION);
        return {};
      },
    );
    expect(result).toMatchObject({ exitCode: 0, answered: 1, said: 'I begin.', unanswered: refused.message });
  });
});

describe('an external agent that is cancelled', () => {
  test('says what it has used, and the most that the call may cost which is not answered', async () => {
    const error = await cancelledInCall({ calls: 3, answered: 2 });
    expect(error).toBeInstanceOf(CancelledFailure);
    const { metrics, estimated } = usedBefore(error) ?? {};
    expect(metrics).toMatchObject({ turns: 2, inputTokens: 600, outputTokens: 200, costUsd: 0.08 });
    expect(estimated?.tokens).toBeGreaterThan(MAX_OUTPUT);
    // At the rate of what was paid before.
    expect(estimated?.usd).toBeCloseTo((0.08 / 800) * (estimated?.tokens ?? 0), 9);
  });

  test('says that nothing else may have been used where all of its calls were answered', async () => {
    const error = await cancelledInCall({ calls: 1, answered: 1 });
    expect(error).toBeInstanceOf(CancelledFailure);
    expect(usedBefore(error)).toEqual({ metrics: expect.objectContaining({ turns: 1 }) });
  });

  test('knows no dollars of a first call', async () => {
    const { metrics, estimated } = usedBefore(await cancelledInCall({ calls: 1, answered: 0 })) ?? {};
    expect(metrics).toEqual(NO_METRICS);
    expect(Object.keys(estimated ?? {})).toEqual(['tokens']);
  });
});
