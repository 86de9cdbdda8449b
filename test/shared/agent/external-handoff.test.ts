import { describe, expect, test } from 'vitest';
import { AgentHandoff } from '../../../src/shared/contracts/agent.ts';
import { CommandResult } from '../../../src/shared/contracts/agent-command.ts';
import { NO_METRICS } from '../../../src/shared/contracts/task.ts';
import { externalHandoff } from '../../../src/shared/agent/external-handoff.ts';

const WELL = {
  exitCode: 0,
  output: 'Resume with: agent --continue 1',
  answered: 2,
  said: 'The parser reads tabs.',
  metrics: { ...NO_METRICS, turns: 2 },
  told: [],
};
const of = (changes: Partial<CommandResult>): AgentHandoff =>
  AgentHandoff.parse(externalHandoff(CommandResult.parse({ ...WELL, ...changes })));

describe("an external agent's end", () => {
  test("is complete where its last call was answered, in the model's words", () => {
    expect(of({})).toEqual({ status: 'complete', summary: WELL.said, concerns: [], suggestions: [] });
  });

  test.each<[string, Partial<CommandResult>, AgentHandoff['status'], RegExp]>([
    ['a last call that was not answered', { unanswered: 'It is 400.' }, 'partial', /not answered.*It is 400/],
    ['another code', { exitCode: 3 }, 'failed', /code 3\. The end of what it wrote:\nResume with/],
    ['another code, whatever was answered', { exitCode: 1, unanswered: 'It is 400.' }, 'failed', /code 1/],
    ['being stopped', { exitCode: null }, 'failed', /was stopped/],
    ['no answered call', { answered: 0, unanswered: 'It is 401.' }, 'failed', /without one answered call/],
    ['none in this program, after others', { answered: 0 }, 'failed', /without one answered call/],
    [
      'a limit',
      { exitCode: 1, unanswered: 'Refused.', reached: 'The limit of 2 calls is reached.' },
      'partial',
      /limit of 2/,
    ],
  ])('with %s is none that lands', (_, changes, status, concern) => {
    const handoff = of(changes);
    expect(handoff.status).toBe(status);
    expect(handoff.concerns).toHaveLength(1);
    expect(handoff.concerns[0]).toMatch(concern);
    expect(handoff.summary).toBe(WELL.said);
  });

  test('has what the network refused it as concerns, within what a handoff holds', () => {
    const { summary, concerns } = of({
      notes: ['x'.repeat(5_000), ...Array<string>(60).fill('Refused.')],
      unanswered: 'No.',
    });
    expect(summary).toBe(WELL.said);
    expect(concerns).toHaveLength(50);
    expect(concerns[0]).toContain('No.');
  });

  test('is told by its terminal where no model said anything', () => {
    expect(of({ said: undefined }).summary).toBe(WELL.output);
    expect(of({ said: undefined, output: '' }).summary).toBe('The external agent wrote nothing.');
  });

  test('that an older version recorded is read as that version read it', () => {
    const { exitCode, output, told } = WELL;
    expect(of({ said: undefined, answered: undefined }).status).toBe('complete');
    const nothing = CommandResult.parse({ exitCode, output, told, metrics: NO_METRICS });
    expect(externalHandoff(nothing).status).toBe('failed');
  });
});
