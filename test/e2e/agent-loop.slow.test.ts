/** The agent loop over a real run: checks before "complete", warnings before limits, a context that is too short. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type Conversation,
  isSummaryWanted,
  rounds,
  type ScriptAnswer,
  userTexts,
} from '../../examples/scripted-model/conversation.ts';
import { type ScriptedModel, startScriptedModel } from '../../examples/scripted-model/server.ts';
import { handoffAnswer, write } from '../../examples/scripted-model/steps.ts';
import { LOOP_TEXT } from '../../src/shared/agent/text.ts';
import { fileOn } from '../support/branches.ts';
import { planned, type Scenario, scenarioScript } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

const IS_GOOD = {
  text: 'a.txt is good',
  command: 'grep -qx good a.txt || { echo "a.txt says: $(cat a.txt)"; exit 1; }',
};
const complete = (summary: string): ScriptAnswer => handoffAnswer({ status: 'complete', summary });
const say = (...calls: ScriptAnswer['calls']): ScriptAnswer => ({ text: 'I work.', calls });
const lastOutput = (conversation: Conversation): string => rounds(conversation).at(-1)?.results.at(-1)?.output ?? '';

/** Wrong at first; right once its check has come back with what it said. */
const repairing: Scenario = {
  plan: () => ({ tasks: [planned('repaired', { acceptance: [IS_GOOD, { text: 'It is nice' }] })], done: true }),
  tasks: {
    repaired: (_, conversation) => {
      switch (rounds(conversation).length) {
        case 0:
          return say(write('a.txt', 'bad\n'));
        case 1:
          return complete('I think it is done.');
        case 2:
          return lastOutput(conversation).includes('a.txt says: bad')
            ? say(write('a.txt', 'good\n'))
            : handoffAnswer({ status: 'failed', summary: 'Nobody told me.' });
        default:
          return complete('Now it is good.');
      }
    },
  },
};

/** Says that it is done, whatever its checks say. */
const insisting: Scenario = {
  plan: () => ({ tasks: [planned('stubborn')], done: true }),
  tasks: {
    stubborn: (_, conversation) =>
      rounds(conversation).length === 0 ? say(write('broken.txt', 'x\n')) : complete('All is well.'),
  },
};

/** Goes on writing until it is told that a limit is near. */
const slow: Scenario = {
  plan: () => ({ tasks: [planned('slow')], done: true }),
  tasks: {
    slow: (_, conversation) => {
      const warned = userTexts(conversation).some((text) => text.includes('of at most'));
      const number = rounds(conversation).length;
      return warned ? complete(`Warned after ${number} turns.`) : say(write(`slow-${number}.txt`, 'x\n'));
    },
  },
};

/** Its third call is one that the provider calls wrong. */
const doomed: Scenario = {
  plan: () => ({ tasks: [planned('doomed')], done: true }),
  tasks: { doomed: (_, conversation) => say(write(`doomed-${rounds(conversation).length}.txt`, 'x\n')) },
};
const isWrong = (body: string): boolean => body.includes('Task: doomed') && body.split('"role":"assistant"').length > 2;

/** Its command takes longer than it has; what it said to that is in its handoff. */
const late: Scenario = {
  plan: () => ({
    tasks: [planned('late', { acceptance: [{ text: 'It begins', command: 'sleep 3; test -f begun' }] })],
    done: true,
  }),
  tasks: {
    late: (_, conversation) =>
      rounds(conversation).length === 0
        ? say({ name: 'bash', arguments: { command: 'touch begun; sleep 600', timeoutSeconds: 1_800 } })
        : complete(lastOutput(conversation)),
  },
};

const NOISE = 'n'.repeat(20_000);
/** Its transcript outgrows the model's context; the summary tells how far it is. */
const long: Scenario = {
  plan: () => ({
    tasks: [planned('long', { acceptance: [{ text: 'The sixth file is there', command: 'test -f long-5.txt' }] })],
    done: true,
  }),
  tasks: {
    long: (_, conversation) => {
      const before = Number(/^Files so far: (\d+)$/m.exec(userTexts(conversation).join('\n'))?.[1] ?? '0');
      const number = before + rounds(conversation).length;
      if (isSummaryWanted(conversation)) return { text: `Files so far: ${number}`, calls: [] };
      return number < 6 ? say(write(`long-${number}.txt`, NOISE)) : complete('Six files.');
    },
  },
};

/** A model server whose context is `limit` characters of request: what is longer is refused as providers do. */
async function withShortContext(model: ScriptedModel, limit: number) {
  const refused: string[] = [];
  const passed: string[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const planner = body.includes('submit_plan');
      if (!planner && body.length > limit) {
        refused.push(body);
        response.writeHead(400, { 'content-type': 'application/json' });
        const message = `This model's maximum context length is ${limit} tokens. Please reduce the length of the messages.`;
        response.end(
          JSON.stringify({ error: { message, type: 'invalid_request_error', code: 'context_length_exceeded' } }),
        );
        return;
      }
      if (!planner && isWrong(body)) {
        response.writeHead(400, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ error: { message: 'messages.4: not so', type: 'invalid_request_error' } }));
        return;
      }
      if (!planner && body !== '') passed.push(body);
      void fetch(`${model.url}${request.url}`, {
        method: request.method ?? 'GET',
        headers: { authorization: 'Bearer test-key', 'content-type': 'application/json' },
        ...(body === '' ? {} : { body }),
      }).then(async (answer) => {
        response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
        response.end(Buffer.from(await answer.arrayBuffer()));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, refused, passed, server };
}

describe('the agent loop', () => {
  let model: ScriptedModel;
  let context: Awaited<ReturnType<typeof withShortContext>>;
  const swarm = useSwarm(async () => {
    const script = scenarioScript({ repairing, insisting, slow, doomed, long, late });
    model = await startScriptedModel({ script });
    context = await withShortContext(model, 90_000);
    const endpoint = {
      name: 'short',
      provider: 'openai',
      baseUrl: `${context.url}/v1`,
      apiKey: 'test-key',
      models: { default: 'scripted-1' },
      price: { input: 1, output: 2 },
    };
    return { script, endpoints: JSON.stringify([endpoint]) };
  });

  afterAll(async () => {
    context?.server.close();
    context?.server.closeAllConnections();
    await model?.stop();
  });

  it('gives a failing criterion back to the agent, which mends it; the handoff says what was met', async () => {
    const { origin, report } = await swarm.runScenario('loop-repaired', 'repairing');
    expect(report).toMatchObject({ status: 'complete', landed: 1 });
    expect(fileOn(origin.dir, report.target, 'a.txt')).toBe('good\n');
    const { handoff } = await swarm.resultOf('loop-repaired/repaired.1');
    expect(handoff).toMatchObject({ status: 'complete', summary: 'Now it is good.' });
    expect(handoff.checks).toEqual([
      { name: IS_GOOD.text, command: IS_GOOD.command, status: 'passed' },
      { name: 'It is nice', status: 'unchecked' },
    ]);
  }, 120_000);

  it('takes what the quick checks of the repository say over what the agent says, and lands nothing', async () => {
    const check = { name: 'not broken', command: 'echo looked; test ! -e broken.txt', quick: true };
    const checks = [check, { name: 'slow', command: 'touch ran-slow; false' }];
    const files = { 'README.md': '# x\n', 'agentswarm.json': JSON.stringify({ checks, maxAttempts: 1 }) };
    const { report } = await swarm.runScenario('loop-stubborn', 'insisting', { files });
    expect(report.landed).toBe(0);
    const { handoff, outcome } = await swarm.resultOf('loop-stubborn/stubborn.1');
    expect(handoff.status).toBe('partial');
    expect(handoff.checks).toMatchObject([{ name: 'not broken', status: 'failed' }]);
    expect(handoff.concerns[0]).toMatch(/^The check "not broken" fails .*looked/s);
    // Written once, said three times: twice it came back.
    expect(handoff.metrics.turns).toBe(4);
    expect(handoff.filesChanged).toEqual(['broken.txt']);
    expect(outcome).toEqual({ kind: 'none' });
  }, 120_000);

  it.each([
    ['turns', { turns: 10, tokens: 1_000_000, minutes: 60 }],
    ['USD', { turns: 100, tokens: 1_000_000, minutes: 60, costUsd: 0.05 }],
  ])(
    'warns an agent once before its limit of %s, so that it ends by itself',
    async (what, worker) => {
      const id = `loop-slow-${what.toLowerCase()}`;
      await swarm.runScenario(id, 'slow', { settings: { agent: { worker } } });
      const { handoff } = await swarm.resultOf(`${id}/slow.1`);
      expect(handoff.status).toBe('complete');
      const turns = Number(/after (\d+) turns/.exec(handoff.summary)?.[1]);
      expect(turns).toBe(handoff.metrics.turns - 1);
      if (what === 'turns') expect(turns).toBe(8);
      else {
        expect(turns).toBeGreaterThan(1);
        expect(handoff.metrics.costUsd).toBeLessThan(0.05);
      }
    },
    120_000,
  );

  it('ends a command with the time of its agent, which is told so and hands off; the checks have their own time', async () => {
    const worker = { turns: 10, tokens: 1_000_000, minutes: 0.25 };
    const { report } = await swarm.runScenario('loop-late', 'late', { settings: { agent: { worker } } });
    const { handoff } = await swarm.resultOf('loop-late/late.1');
    expect(handoff.summary).toMatch(/The command was stopped after \S+ s, .*: your time limit is reached\./);
    expect(handoff.checks).toMatchObject([{ name: 'It begins', status: 'passed' }]);
    expect(report).toMatchObject({ status: 'complete', landed: 1 });
  }, 120_000);

  it('counts what an agent has used that fails for good, and keeps its work', async () => {
    const { report } = await swarm.runScenario('loop-doomed', 'doomed', { settings: { maxAttempts: 1 } });
    const { handoff } = await swarm.resultOf('loop-doomed/doomed.1');
    expect(handoff).toMatchObject({ status: 'failed', filesChanged: ['doomed-0.txt', 'doomed-1.txt'] });
    expect(handoff.summary).toContain('messages.4: not so');
    const asked = swarm.model.log.concat(model.log).filter(({ task, status }) => task === 'doomed' && status === 200);
    expect(asked).toHaveLength(2);
    const inputTokens = asked.reduce((sum, each) => sum + each.inputTokens, 0);
    expect(handoff.metrics).toMatchObject({ turns: 2, toolCalls: 2, inputTokens });
    expect(handoff.estimated).toBeUndefined();
    expect(report.inputTokens).toBeGreaterThan(inputTokens);
  }, 120_000);

  it('compacts a conversation that the model cannot take, keeps its brief, and goes on from the summary', async () => {
    context.refused.length = 0;
    context.passed.length = 0;
    const { origin, report } = await swarm.runScenario('loop-long', 'long');
    expect(report).toMatchObject({ status: 'complete', landed: 1 });
    expect(fileOn(origin.dir, report.target, 'long-5.txt')).toBe(NOISE);
    expect(context.refused.length).toBeGreaterThan(0);
    const summed = context.passed.filter((body) => body.includes(JSON.stringify(LOOP_TEXT.compact).slice(1, -1)));
    expect(summed).toHaveLength(1);
    for (const word of ['acceptance criteria', 'decisions', 'files touched', 'open problems']) {
      expect(LOOP_TEXT.compact).toContain(word);
    }
    const after = context.passed.slice(context.passed.indexOf(summed[0] ?? '') + 1);
    expect(after.length).toBeGreaterThan(0);
    for (const body of after) {
      expect(body).toContain('The sixth file is there');
      expect(body).toContain('Files so far:');
    }
  }, 120_000);
});
