/** A real external agent does a task: in the sandbox, headless, with its models behind the gateway. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Conversation, rounds, userTexts } from '../../examples/scripted-model/conversation.ts';
import { write } from '../../examples/scripted-model/steps.ts';
import { fileOn } from '../support/branches.ts';
import { installPi, PI_ARGV } from '../support/external-agent.ts';
import { planned, type Scenario, scenarioScript } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

const API_KEY = 'canary-key-of-the-provider-7f3a';
const AS_AGREED = {
  text: 'It greets',
  command: 'grep -qx hello greeting.txt || { echo "it says $(cat greeting.txt)"; exit 1; }',
};

/** Looks for secrets first; its greeting is wrong until the check has told it so. */
const greets: Scenario = {
  plan: () => ({ tasks: [planned('greet', { acceptance: [AS_AGREED] })], done: true }),
  tasks: {
    greet: (_, conversation: Conversation) => {
      const told = userTexts(conversation).some((text) => text.includes('it says good day'));
      switch (rounds(conversation).length) {
        case 0:
          return {
            text: 'I look around.',
            calls: [
              {
                name: 'bash',
                arguments: { command: 'env; cat /proc/*/environ "$HOME"/pi/* 2>/dev/null | tr "\\0" "\\n"' },
              },
            ],
          };
        case 1: {
          const seen = JSON.stringify(rounds(conversation)[0]?.results ?? []);
          const secret = seen.includes(API_KEY) || !seen.includes('OPENAI_API_KEY');
          return {
            text: 'I write.',
            calls: [write('greeting.txt', secret ? 'leaked\n' : told ? 'hello\n' : 'good day\n')],
          };
        }
        default:
          return { text: told ? 'The greeting is as agreed.' : 'The greeting is there.', calls: [] };
      }
    },
  },
};

const silent: Scenario = {
  plan: () => ({ tasks: [planned('silent')], done: true }),
  tasks: { silent: () => ({ text: 'Never asked.', calls: [] }) },
};

describe('an external agent', () => {
  let bin: string;
  beforeAll(() => {
    bin = installPi();
  }, 360_000);
  const swarm = useSwarm(() => ({
    script: scenarioScript({ greets, silent }),
    apiKey: API_KEY,
    env: { PATH: `${bin}:${process.env.PATH}` },
  }));

  it('works with the tools it has, is given what fails, and its work lands, with all calls counted', async () => {
    const settings = { agent: { engine: 'command' as const, argv: PI_ARGV }, maxAttempts: 1 };
    const { origin, report } = await swarm.runScenario('external-greet', 'greets', { settings });
    const { handoff } = await swarm.resultOf('external-greet/greet.1');
    expect(handoff, JSON.stringify(handoff)).toMatchObject({ status: 'complete', filesChanged: ['greeting.txt'] });
    expect(handoff.summary).toContain('The greeting is as agreed.');
    expect(handoff.checks).toMatchObject([{ name: 'It greets', status: 'passed' }]);
    expect(report).toMatchObject({ status: 'complete', landed: 1 });
    expect(fileOn(origin.dir, report.target, 'greeting.txt')).toBe('hello\n');
    // Twice three calls, as the model itself has counted them.
    const asked = swarm.requests('greet').filter(({ status }) => status === 200);
    expect(asked).toHaveLength(6);
    const sum = (key: 'inputTokens' | 'outputTokens') => asked.reduce((all, each) => all + each[key], 0);
    expect(handoff.metrics).toMatchObject({
      turns: 6,
      toolCalls: 4,
      inputTokens: sum('inputTokens'),
      outputTokens: sum('outputTokens'),
    });
    expect(handoff.metrics.costUsd).toBeCloseTo((sum('inputTokens') + 2 * sum('outputTokens')) / 1e6, 9);
  }, 180_000);

  it('is no success when it ends well without an answered call', async () => {
    const settings = { agent: { engine: 'command' as const, argv: ['sh', '-c', 'echo all done'] }, maxAttempts: 1 };
    const { report } = await swarm.runScenario('external-silent', 'silent', { settings });
    expect(report.landed).toBe(0);
    const { handoff } = await swarm.resultOf('external-silent/silent.1');
    expect(handoff).toMatchObject({ status: 'failed', summary: 'all done' });
    expect(handoff.metrics.turns).toBe(0);
  }, 120_000);
});
