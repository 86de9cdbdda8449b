import { expect, test } from 'vitest';
import { nextCommand } from '../../src/cli/hint.ts';

test('a command to type next leads to the same state and configuration', () => {
  expect(nextCommand({}, 'attach', 'r1')).toBe('agentswarm attach r1');
  expect(nextCommand({ stateDir: '/tmp/my state', config: 'a.ts' }, 'attach', 'r1')).toBe(
    "agentswarm attach r1 --state-dir '/tmp/my state' --config a.ts",
  );
});
