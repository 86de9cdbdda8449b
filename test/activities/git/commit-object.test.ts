import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { commitContent, type NewCommit, writeCommit } from '../../../src/activities/git/commit-object.ts';
import type { Mirror } from '../../../src/activities/git/contract.ts';
import { mirrorOf } from '../../support/merges.ts';
import { bareRepository, temporaryFolder } from '../../support/repos.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());

async function repository(objectFormat: 'sha1' | 'sha256'): Promise<{ mirror: Mirror; plain: NewCommit }> {
  const remote = bareRepository(join(folder.dir, `${objectFormat}.git`), { a: 'a' }, { objectFormat });
  const mirror = await mirrorOf(folder.dir, remote.dir);
  const plain = {
    tree: remote.git('rev-parse', 'main^{tree}'),
    parents: [remote.tip()],
    message: 'subject\n\nBody: ünï → \u{1f600}\n',
    author: { name: 'Ünï Bot 2', email: 'bot@example.org' },
    at: new Date('2026-02-03T04:05:06.789Z'),
  };
  return { mirror, plain };
}

const made = await repository('sha1');
const { plain } = made;
const second = await made.mirror.commitTree({ ...plain, message: 'second\n' });

describe.each(['sha1', 'sha256'] as const)('in a repository of %s', (objectFormat) => {
  test('a commit written here is the one that git commit-tree writes, and is found by git', async () => {
    const { mirror, plain } = objectFormat === 'sha1' ? made : await repository(objectFormat);
    const content = commitContent(plain) ?? expect.fail('it is plain');
    const commit = await writeCommit(mirror.dir, content, objectFormat);
    const { stdout } = await mirror.git(['cat-file', 'commit', commit]);
    expect(stdout).toEqual(content);
    expect(await mirror.commitTree(plain)).toBe(commit);
    expect(await writeCommit(mirror.dir, content, objectFormat)).toBe(commit);
    await mirror.git(['fsck', '--strict']);
  });
});

const VARIANTS: [string, Partial<NewCommit>, 'written here' | 'left to git'][] = [
  ['no parent', { parents: [] }, 'written here'],
  ['two parents', { parents: [...plain.parents, second] }, 'written here'],
  ['the same parent twice', { parents: [second, second] }, 'left to git'],
  ['no message', { message: '' }, 'written here'],
  ['no newline at the end', { message: 'subject' }, 'written here'],
  ['a name that ends with a full stop', { author: { name: 'Jo X.', email: 'a@b' } }, 'left to git'],
  ['a name with brackets', { author: { name: 'Jo <x> Y', email: 'a@b' } }, 'left to git'],
  ['an address in brackets', { author: { name: 'Jo', email: '<a@b>' } }, 'left to git'],
  ['characters that are none', { message: 'a \uffff b\n' }, 'left to git'],
  ['half a character', { message: 'a \ud800 b\n' }, 'left to git'],
  ['the first second of 1970', { at: new Date(0) }, 'written here'],
];
test.each(VARIANTS)('%s: it is the commit that git makes, or is left to git', async (_, changes, by) => {
  const commit = { ...plain, ...changes };
  const byGit = await made.mirror.commitTree(commit);
  const content = commitContent(commit);
  expect(content === null ? 'left to git' : 'written here').toBe(by);
  if (content !== null) expect(await writeCommit(made.mirror.dir, content, 'sha1')).toBe(byGit);
});
