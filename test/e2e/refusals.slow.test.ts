/** Conversations that every endpoint refuses: what is in them is theirs, and everybody else works on. */
import { afterAll, describe, expect, it } from 'vitest';
import { type Conversation, roleOf, rounds, taskOf, userTexts } from '../../examples/scripted-model/conversation.ts';
import { baseTask } from '../../examples/scripted-model/planning.ts';
import { fileOn, landedOn } from '../support/branches.ts';
import { type RefusingEndpoint, startRefusingEndpoint } from '../support/refusing-endpoint.ts';
import { planned, type Scenario, scenarioScript, slowly, writes } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

const TWELVE = Array.from({ length: 12 }, (_, i) => `twelve-${i + 1}`);
const REFUSED = 'twelve-7';
const INNOCENT = TWELVE.filter((id) => id !== REFUSED);

const twelve: Scenario = {
  plan: ({ lost }) => ({ tasks: TWELVE.filter((id) => !lost.has(id)).map((id) => planned(id)), done: true }),
  tasks: Object.fromEntries(TWELVE.map((id) => [id, slowly(id, 3)])),
};

/** Its planner is refused from the moment that it is told of the first handoff. */
const news: Scenario = {
  plan: ({ handoffs }) => ({
    tasks: [planned('news-1'), ...(handoffs.size > 0 ? [planned('news-2')] : [])],
    done: handoffs.size > 0,
  }),
  tasks: { 'news-1': writes({ 'news-1.txt': 'x\n' }), 'news-2': writes({ 'news-2.txt': 'x\n' }) },
};

function refuses(conversation: Conversation): boolean {
  if (roleOf(conversation) === 'planner') {
    const said = userTexts(conversation).join('\n');
    return said.includes('Scenario: news') && said.includes('### Handoff: news-1');
  }
  // From its second call on: what its first tool gave is what is not wanted.
  return baseTask(taskOf(conversation) ?? '') === REFUSED && rounds(conversation).length > 0;
}

const AZURE =
  "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.";
const LITELLM =
  "litellm.BadRequestError: OpenAIException - messages.4: not like that\n\nLiteLLM: model group 'scripted-1' failed with the error above and no fallback model group was found for it, so the request was not retried on another model. No fallbacks are configured.";

describe('two endpoints that both refuse a conversation', () => {
  const endpoints: RefusingEndpoint[] = [];
  const swarm = useSwarm(async () => {
    const model = (): string => swarm.model.url;
    endpoints.push(await startRefusingEndpoint({ model, refuses, message: AZURE, code: 'content_filter' }));
    endpoints.push(await startRefusingEndpoint({ model, refuses, message: LITELLM, code: '400' }));
    const list = endpoints.map(({ baseUrl }, i) => ({
      name: ['azure', 'litellm'][i],
      provider: 'openai',
      baseUrl,
      apiKey: 'test-key',
      models: { default: 'scripted-1' },
      price: { input: 1, output: 2 },
    }));
    return { script: scenarioScript({ twelve, news }), latencyMs: 200, endpoints: JSON.stringify(list) };
  });
  afterAll(() => Promise.all(endpoints.map((endpoint) => endpoint.close())));

  const refusals = (): number[] => endpoints.map(({ refused }) => refused);

  it('one of twelve agents is refused by both: the other eleven land, and the run never pauses', async () => {
    const { origin, base, report } = await swarm.runScenario('refused-twelve', 'twelve', {
      settings: { maxWorkers: 12, maxAttempts: 1 },
    });
    expect(report.landed).toBe(11);
    const lost = report.tasks.filter(({ branch }) => branch !== 'landed');
    expect(lost.map(({ id }) => id)).toEqual([REFUSED]);
    const landed = landedOn(origin.dir, 'main', base).flatMap(({ task }) => task);
    expect(landed.sort()).toEqual(INNOCENT.map((id) => `refused-twelve/${id}.1`).sort());
    for (const id of INNOCENT) expect(fileOn(origin.dir, 'main', `${id}/3.txt`)).toBe('3\n');
    // Each of them was asked, and asked once.
    expect(refusals()).toEqual([1, 1]);
    expect((await swarm.resultOf(`refused-twelve/${REFUSED}.1`)).handoff.summary).toMatch(
      /content management policy[\s\S]*not like that|not like that[\s\S]*content management policy/,
    );
    await swarm.settled();
  }, 180_000);

  it('a planner that is refused begins another conversation once, and then its run pauses with the reason', async () => {
    const before = refusals();
    const { handle } = await swarm.startScenario('refused-planner', 'news');
    const { paused } = await swarm.until('refused-planner', (snapshot) => snapshot.paused !== undefined);
    expect(paused?.reason).toMatch(/^The models refuse the planner's conversation: [\s\S]*content management policy/);
    expect(refusals().map((count, i) => count - (before[i] ?? 0))).toEqual([2, 2]);
    await handle.terminate();
  }, 120_000);
});
