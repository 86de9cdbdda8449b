import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { createMoveGreen, createReadTip } from '../../../src/activities/reconciler/green.ts';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { greenRef } from '../../../src/shared/base/ids.ts';
import { createTestLog } from '../../support/log.ts';
import { bareRepository, temporaryFolder, type TestRepository } from '../../support/repos.ts';
import { thrownBy } from '../../support/thrown.ts';

describe('the ref of green commits', () => {
  const folder = temporaryFolder('agentswarm-green-');
  const log = createTestLog();
  const mirrors = createMirrors({ dir: `${folder.dir}/mirrors`, log });
  let origin: TestRepository;
  let count = 0;
  beforeEach(() => {
    origin = bareRepository(`${folder.dir}/origin-${++count}.git`);
  });
  afterAll(folder.remove);

  const repo = () => ({ location: origin.dir, key: origin.dir });
  const move = (commit: string, branch = 'main') => createMoveGreen({ mirrors, log })({ repo: repo(), branch, commit });
  const green = (branch = 'main') => origin.git('rev-parse', '--verify', greenRef(branch));

  it('is made, moves forward, and stays where it is for a commit that it stands on', async () => {
    const first = origin.tip();
    const second = origin.commit({ 'a.txt': 'a\n' });
    expect(await move(first)).toEqual({ green: first });
    expect(await move(second)).toEqual({ green: second });
    expect(await move(first)).toEqual({ green: second });
    expect(await move(second)).toEqual({ green: second });
    expect(green()).toBe(second);
    expect(await createReadTip({ mirrors })({ repo: repo(), branch: 'main' })).toEqual({ tip: second, green: second });
  });

  it('follows a branch that was rewritten', async () => {
    const first = origin.tip();
    const lost = origin.commit({ 'a.txt': 'a\n' });
    await move(lost);
    const rewritten = origin.commit({ 'a.txt': 'other\n' }, { parent: first });
    expect(await move(rewritten)).toEqual({ green: rewritten });
    // What is on the branch wins over what was, also when it is older.
    origin.git('update-ref', greenRef('main'), lost);
    expect(await move(first)).toEqual({ green: first });
  });

  it('is not overwritten when somebody else moves it meanwhile: it is read again', async () => {
    const first = origin.tip();
    const second = origin.commit({ 'a.txt': 'a\n' });
    const third = origin.commit({ 'b.txt': 'b\n' });
    origin.git('update-ref', greenRef('main'), first);
    // Another sweep is faster, once, just before ours is taken.
    origin.hook(
      'pre-receive',
      `[ -f raced ] && exit 0\ntouch raced\nexport GIT_QUARANTINE_PATH=\nenv -u GIT_QUARANTINE_PATH git update-ref ${greenRef('main')} ${third}`,
    );
    expect(await move(second)).toEqual({ green: third });
    expect(green()).toBe(third);
  });

  it('says that the remote does not let it move', async () => {
    origin.hook('pre-receive', 'echo "no refs of machines here" >&2; exit 1');
    const error = await thrownBy(move(origin.tip()));
    expect(error).toMatchObject({ type: 'PushRefused', nonRetryable: true });
    expect(error.message).toContain(greenRef('main'));
  });
});
