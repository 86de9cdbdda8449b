/** A real external agent does a task: in the sandbox, headless, with its models behind the gateway. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Conversation, rounds, userTexts } from '../../examples/scripted-model/conversation.ts';
import { write } from '../../examples/scripted-model/steps.ts';
import { fileOn } from '../support/branches.ts';
import { CLAUDE_ARGV, installClaude, installPi, PI_ARGV } from '../support/external-agent.ts';
import { gitIn } from '../support/repos.ts';
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

const halved: Scenario = {
  plan: () => ({ tasks: [planned('halved')], done: true }),
  tasks: { halved: () => ({ text: 'I have written one half.', calls: [] }) },
};

/** Writes one half, and takes no notice of it when the call for the other is refused. */
const HALF = [
  'sh',
  '-c',
  `ask() { curl -sS "$OPENAI_BASE_URL/chat/completions" -H "Authorization: Bearer $OPENAI_API_KEY" -d @- ; }
  node -e 'console.log(JSON.stringify({ model: "m", messages: [{ role: "user", content: process.argv[1] }] }))' \
    "$(cat "$AGENTSWARM_TASK_FILE")" | ask
  echo half > half.txt; echo '{"model":' | ask; echo all done`,
];

describe('an external agent', () => {
  let bin: string;
  beforeAll(() => {
    bin = installPi();
  }, 360_000);
  const swarm = useSwarm(() => ({
    script: scenarioScript({ greets, silent, halved }),
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

  it('is not done when it ends well although its last call was refused', async () => {
    const settings = { agent: { engine: 'command' as const, argv: HALF }, maxAttempts: 1 };
    const { report } = await swarm.runScenario('external-halved', 'halved', { settings });
    expect(report.landed).toBe(0);
    const { handoff } = await swarm.resultOf('external-halved/halved.1');
    expect(handoff).toMatchObject({ status: 'partial', summary: 'I have written one half.' });
    expect(handoff.concerns[0]).toContain('The request is not JSON');
    expect(handoff.metrics.turns).toBe(1);
  }, 120_000);
});

/** Reads an image and looks for what there is to search with; then it writes what it was told. */
const draws: Scenario = {
  plan: () => ({ tasks: [planned('draw')], done: true }),
  tasks: {
    draw: (_, conversation: Conversation) => {
      const call = (text: string, name: string, given: object) => ({
        text,
        calls: [{ name, arguments: { ...given } }],
      });
      const results = rounds(conversation).flatMap((round) => round.results.map(({ output }) => output));
      switch (results.length) {
        case 0:
          return call('I look.', 'Read', { file_path: '/workspace/dot.png' });
        case 1:
          return call('I load a tool.', 'ToolSearch', { query: 'select:WebSearch', max_results: 5 });
        case 2:
          return call('I search.', 'WebSearch', { query: 'dots' });
        case 3:
          return call('I write.', 'Write', { file_path: '/workspace/dot.txt', content: `${results.join('\n')}\n` });
        default:
          return { text: 'The dot is described.', calls: [] };
      }
    },
  },
};

const DOT = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

describe.each(['openai', 'anthropic'] as const)('Claude Code, before a model that speaks %s', (provider) => {
  let bin: string;
  beforeAll(() => {
    bin = installClaude();
  }, 360_000);
  const swarm = useSwarm(() => ({
    script: scenarioScript({ draws }),
    provider,
    env: { PATH: `${bin}:${process.env.PATH}` },
  }));

  it('does a task as it is, with an image, tools that it loads, and a search that is not to be had', async () => {
    const settings = { agent: { engine: 'command' as const, argv: CLAUDE_ARGV }, maxAttempts: 1 };
    const files = { 'README.md': '# x\n', 'dot.png': Buffer.from(DOT, 'base64') };
    const { origin, report } = await swarm.runScenario(`claude-${provider}`, 'draws', { settings, files });
    const { handoff } = await swarm.resultOf(`claude-${provider}/draw.1`);
    expect(handoff, JSON.stringify(handoff)).toMatchObject({
      status: 'complete',
      summary: 'The dot is described.',
      filesChanged: ['dot.txt'],
    });
    expect(report).toMatchObject({ status: 'complete', landed: 1 });
    // Only where protocols differ a word stands for the image.
    const seen = fileOn(origin.dir, report.target, 'dot.txt');
    expect(seen.includes('[An image, which is not passed on')).toBe(provider === 'openai');
    expect(seen).toContain('unavailable');
    // What telemetry and updates were refused is a concern, and no word of it is in the commit.
    expect(gitIn(origin.dir, ['log', '-1', '--format=%B', report.target])).not.toMatch(/allowlist|recognize/);
    const asked = swarm.requests('draw').filter(({ status }) => status === 200);
    expect(asked).toHaveLength(5);
    expect(handoff.metrics).toMatchObject({ turns: 5, toolCalls: 4 });
    expect(swarm.requests('draw')).toHaveLength(5);
  }, 180_000);
});
