import { afterAll, expect, test } from 'vitest';
import { findTampering } from '../../../src/activities/git/tamper-diff.ts';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { createTestLog } from '../../support/log.ts';
import { bareRepository, temporaryFolder } from '../../support/repos.ts';

const folder = temporaryFolder('agentswarm-tamper-');
afterAll(folder.remove);

const CASE = (i: number): string =>
  `test('case ${i}', () => {\n  const got = f(${i});\n  expect(got).toBe(${i});\n});\n`;

test('the whole of a test file is looked at, of other files what has changed', async () => {
  const origin = bareRepository(`${folder.dir}/origin.git`, {
    'test/long.test.ts': Array.from({ length: 300 }, (_, i) => CASE(i)).join('\n'),
    'tsconfig.json': '{\n  "strict": true\n}\n',
    'README.md': 'words\n',
  });
  const base = origin.tip();
  const kept = Array.from({ length: 300 }, (_, i) => CASE(i)).join('\n');
  const commit = origin.commit({
    'test/long.test.ts': kept.replace('  expect(got).toBe(150);\n', '').replace('f(7)', 'f(7, 7)'),
    'tsconfig.json': '{\n  "strict": false\n}\n',
    'README.md': 'other words\n',
  });
  const mirrors = createMirrors({ dir: `${folder.dir}/mirrors`, log: createTestLog() });
  const mirror = await mirrors.open({ location: origin.dir, key: origin.dir });
  await mirror.fetchBranch('main');
  const find = (to: string, files: string[]) =>
    findTampering(mirror, { base, commit: to, files, rules: { strict: false } });
  expect(await find(commit, ['README.md', 'test/long.test.ts', 'tsconfig.json'])).toEqual([
    '1 test asserts nothing any more (test/long.test.ts)',
    'tsconfig.json: strict is off',
  ]);
  expect(await find(commit, ['README.md'])).toEqual([]);
});
