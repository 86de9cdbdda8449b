import { afterAll, beforeAll, expect, test } from 'vitest';
import { readGreen } from '../../src/doctor/green.ts';
import { greenRef } from '../../src/shared/base/ids.ts';
import { bareRepository, temporaryFolder, type TestRepository } from '../support/repos.ts';
import { runHere } from './fixture/command.ts';

const folder = temporaryFolder('agentswarm-green-');

const green = (...args: string[]) => runHere(['green', ...args], { cwd: folder.dir, dependencies: { readGreen } });

let origin: TestRepository;
beforeAll(() => {
  origin = bareRepository(`${folder.dir}/origin.git`);
});
afterAll(folder.remove);

test('green says which commit passes, whether it is the tip, and that none is known', { timeout: 60_000 }, async () => {
  const none = await green('origin.git');
  expect(none).toMatchObject({ code: 1, stdout: 'main: no commit is known to be green\n' });
  expect(none.stderr).toContain('is known to pass its checks');
  const first = origin.tip();
  origin.git('update-ref', greenRef('main'), first);
  expect(await green('origin.git')).toMatchObject({ code: 0, stdout: `main: ${first}, its tip\n` });
  const second = origin.commit({ 'a.txt': 'a\n' });
  origin.git('update-ref', greenRef('side'), second);
  expect((await green('origin.git')).stdout).toBe(
    `main: ${first}; its tip is ${second}\nside: ${second}, and there is no such branch any more\n`,
  );
  expect(await green('origin.git', '--branch', 'main')).toMatchObject({ code: 0, stdout: `${first}\n` });
  const { stdout } = await green('origin.git', '--json', '--branch', 'other');
  expect(JSON.parse(stdout)).toEqual([{ branch: 'other', green: null, tip: null }]);
});
