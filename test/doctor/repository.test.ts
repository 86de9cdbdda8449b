import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createMirrors } from '../../src/activities/git/mirrors.ts';
import { resolveBase } from '../../src/activities/git/refs.ts';
import type { DoctorFinding } from '../../src/doctor/finding.ts';
import { examineRepository } from '../../src/doctor/repository.ts';
import { repositoryOf } from '../../src/host/repository.ts';
import { bareRepository, gitIn, temporaryFolder } from '../support/repos.ts';

let folder: ReturnType<typeof temporaryFolder>;
let app: string;
beforeEach(() => {
  folder = temporaryFolder();
  app = at('app');
  gitIn(folder.dir, ['clone', '--quiet', bareRepository(at('origin.git'), { 'a.txt': 'a\n' }).dir, app]);
  gitIn(app, ['commit', '--quiet', '--allow-empty', '--message=second']);
});
afterEach(() => folder.remove());

const at = (...names: string[]) => join(folder.dir, ...names);
const env = () => ({ PATH: process.env.PATH, HOME: folder.dir });
async function examine(path: string, named = true): Promise<Record<string, Omit<DoctorFinding, 'name'>>> {
  const findings = await examineRepository({ path, named }, env());
  return Object.fromEntries(findings.map(({ name, ...rest }) => [name, rest]));
}

test('an ordinary repository: what is not committed or not here yet, and what a run would not push to', async () => {
  writeFileSync(join(app, 'a.txt'), 'changed\n');
  writeFileSync(join(app, 'new.txt'), 'new\n');
  const there = gitIn(app, ['commit-tree', '-m', 'there', '-p', 'origin/main', 'main^{tree}']);
  gitIn(app, ['update-ref', 'refs/remotes/origin/main', there]);
  const remedy = expect.any(String);
  expect(await examine(app)).toEqual({
    repository: { state: 'full', found: `${app}, a run starts from main` },
    'repository: changes': {
      state: 'partly',
      found: `2 not committed in ${app}: 0 staged, 1 modified, 1 untracked`,
      remedy,
    },
    'repository: upstream': {
      state: 'partly',
      found: 'as of the last fetch main is 1 ahead of origin/main and 1 behind it',
      remedy,
    },
    'repository: checked out': {
      state: 'full',
      found: `main in ${app}; what is to land on one of them lands on a branch beside it`,
    },
    'repository: remotes': { state: 'full', found: `origin ${at('origin.git')}` },
  });
});

test('a bare repository has neither changes nor branches that are checked out', async () => {
  expect(await examine(at('origin.git'))).toEqual({
    repository: { state: 'full', found: `${at('origin.git')} (bare), a run starts from main` },
    'repository: remotes': { state: 'full', found: 'none' },
  });
});

test('a linked work tree is the repository that it is of', async () => {
  gitIn(app, ['worktree', 'add', '--quiet', '-b', 'side', at('tree')]);
  const found = `${app}, a run starts from main, looked at from its work tree ${at('tree')}`;
  expect((await examine(at('tree'))).repository).toEqual({ state: 'full', found });
});

test.each<[string, () => string, RegExp]>([
  ['nothing', () => at('nowhere'), /does not exist/],
  ['no repository', () => at('.'), /is not a git repository/],
  ['a folder inside one', () => (mkdirSync(join(app, 'src')), join(app, 'src')), /^src is a folder inside/],
  ['one without a commit', () => (gitIn(folder.dir, ['init', '--quiet', 'empty']), at('empty')), /has no commit on/],
  ['a shallow clone', shallow, /shallow clone/],
])('a run is refused for %s that is named', async (_what, make, found) => {
  const { repository } = await examine(make());
  expect(repository).toMatchObject({ state: 'missing', found: expect.stringMatching(found), blocks: true });
  expect(repository?.remedy).toMatch(/\.$/);
});

test('where the command merely runs, there need be no repository, nor one that a run could use', async () => {
  expect(await examine(at('.'), false)).toEqual({});
  const { repository } = await examine(shallow(), false);
  expect(repository).toMatchObject({ state: 'missing', found: expect.stringContaining('shallow clone') });
  expect(repository).not.toHaveProperty('blocks');
  mkdirSync(join(app, 'src'));
  expect((await examine(join(app, 'src'), false)).repository).toMatchObject({ state: 'full' });
});

test('a run does come to nothing with a shallow clone', async () => {
  const { repo } = await repositoryOf(shallow(), { env: env() });
  const mirrors = createMirrors({ dir: at('mirrors') });
  await expect(mirrors.open(repo).then((mirror) => resolveBase(mirror))).rejects.toThrow();
});

function shallow(): string {
  gitIn(folder.dir, ['clone', '--quiet', '--depth=1', String(pathToFileURL(app)), 'shallow']);
  return at('shallow');
}
