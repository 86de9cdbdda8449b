import { expect, it } from 'vitest';
import {
  batches,
  callsOf,
  commandsOf,
  concernOf,
  failuresText,
  retained,
  resultOf,
} from '../../../src/shared/reconciler/check-errors.ts';
import { Check } from '../../../src/shared/contracts/check-settings.ts';
import { AgentHandoff } from '../../../src/shared/contracts/agent.ts';
import { Handoff, NO_METRICS } from '../../../src/shared/contracts/task.ts';
import { parseArguments } from '../../../src/shared/agent/tools.ts';

const acceptance = [
  { text: 'Its tests pass', command: 'npm test' },
  { text: 'It is documented' },
  { text: 'The same once more', command: 'npm test' },
];
const checks = [
  Check.parse({ name: 'types', command: 'tsc', quick: true, timeoutMinutes: 30 }),
  Check.parse({ name: 'everything', command: 'npm run all' }),
  Check.parse({ name: 'tests', command: 'npm test', quick: true }),
];

it('commands of criteria and quick checks are run, each once; slow checks are not', () => {
  expect(commandsOf({ acceptance }, checks)).toEqual([
    { name: 'Its tests pass', command: 'npm test', minutes: 10 },
    { name: 'types', command: 'tsc', minutes: 30 },
  ]);
});

it('what runs in one activity stays within its deadline, and nothing is left out', () => {
  const many = Array.from({ length: 40 }, (_, i) => ({
    name: `${i}`,
    command: `c${i}`,
    minutes: i % 2 === 0 ? 30 : 7,
  }));
  const groups = batches(many);
  expect(groups.flat()).toEqual(many);
  for (const group of groups) {
    expect(group.reduce((sum, { minutes }) => sum + minutes, 0)).toBeLessThanOrEqual(90);
  }
  expect(groups.length).toBeLessThan(many.length / 2);
});

it('every command is a call that the bash tool takes, under an id of its own', () => {
  const calls = [
    ...callsOf(commandsOf({ acceptance }, checks), 'a'),
    ...callsOf(commandsOf({ acceptance }, checks), 'b'),
  ];
  expect(new Set(calls.map(({ id }) => id)).size).toBe(4);
  for (const { arguments: text } of calls) expect(parseArguments('bash', text)).toMatchObject({ ok: true });
  expect(parseArguments('bash', calls[1]?.arguments ?? '')).toMatchObject({ value: { timeoutSeconds: 1_800 } });
});

it('what was interrupted, or has no result, is no pass', () => {
  const command = { name: 'types', command: 'tsc', minutes: 1 };
  const result = (status: 'ok' | 'error' | 'interrupted') => ({ callId: 'x', name: 'bash', status, output: 'said' });
  expect(resultOf(command, result('ok')).status).toBe('passed');
  expect(resultOf(command, result('error'))).toMatchObject({ status: 'failed', output: 'said' });
  expect(resultOf(command, result('interrupted')).status).toBe('failed');
  expect(resultOf(command, undefined).status).toBe('failed');
});

it('the agent is shown the end of what failed, and told how often it comes back', () => {
  const results = [
    { name: 'fine', command: 'true', status: 'passed' as const },
    { name: 'types', command: 'tsc', status: 'failed' as const, output: `${'x'.repeat(50_000)}THE END` },
  ];
  const text = failuresText(results, 1);
  expect(text).toContain('1 of 2 checks fail');
  expect(text).toContain('$ tsc\n');
  expect(text).toContain('THE END');
  expect(text).not.toContain('## fine');
  expect(text.length).toBeLessThan(8_000);
  expect(failuresText(results, 0)).not.toEqual(text);
});

it('a handoff with all that may be kept of its checks fits its schema', () => {
  const long = 'y'.repeat(2_000);
  const results = Array.from({ length: 60 }, () => ({
    name: long.slice(0, 300),
    command: long,
    status: 'failed' as const,
    output: 'z'.repeat(30_000),
  }));
  const known = retained({ acceptance }, results);
  expect(known.at(-1)).toEqual({ name: 'It is documented', status: 'unchecked' });
  expect(JSON.stringify(known).length).toBeLessThan(200_000);
  const concerns = results.slice(0, 50).map(concernOf);
  const said = AgentHandoff.parse({ status: 'partial', summary: 's', concerns, suggestions: [] });
  expect(Handoff.parse({ ...said, filesChanged: [], metrics: NO_METRICS, checks: known }).checks).toEqual(known);
});
