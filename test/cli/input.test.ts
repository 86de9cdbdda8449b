import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PlannerInput } from '../../src/shared/contracts/run.ts';
import { bareRepository } from '../support/repos.ts';
import { plannerInput, repositoryHere, runId, specSource } from '../../src/cli/input.ts';

let dir: string;
beforeAll(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'agentswarm-input-')));
  bareRepository(join(dir, 'repo.git'));
  symlinkSync(join(dir, 'repo.git'), join(dir, 'link'));
  writeFileSync(join(dir, 'spec.md'), '# Build it\n');
  folder('spec', {
    'b.md': 'second\n',
    'deep/c.txt': 'third\n',
    'README.md': 'first\n',
    'picture.png': Buffer.from([0x25, 0, 1]),
    'blank.md': ' \n',
    '.git/config': '[core]\n',
  });
  symlinkSync(join(dir, 'spec.md'), join(dir, 'spec', 'link.md'));
  symlinkSync(dir, join(dir, 'spec', 'up'));
  folder('pictures', { 'a.png': Buffer.from([0x25, 0, 1]) });
  folder('many', Object.fromEntries(Array.from({ length: 201 }, (_, i) => [`${i % 7}/${i}.md`, 'x'])));
  folder('long', { 'a.md': 'ä'.repeat(60_000), 'b.md': 'ä'.repeat(60_000) });
});
function folder(name: string, files: Readonly<Record<string, string | Buffer>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(dir, name, dirname(path)), { recursive: true });
    writeFileSync(join(dir, name, path), content);
  }
}
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const locationOf = async (repo: string) => (await repositoryHere(repo, { cwd: dir, env: process.env })).location;

test('a relative path of a repository becomes absolute and real, through links', async () => {
  expect(await locationOf('repo.git')).toBe(join(dir, 'repo.git'));
  expect(await locationOf('./link/')).toBe(join(dir, 'repo.git'));
});

test.each(['https://host/x.git', 'ssh://git@host:22/x.git', 'git@host:team/x.git'])(
  '%s is taken as it is',
  async (url) => expect(await locationOf(url)).toBe(url),
);

test.each(['https://token@host/x', 'https://a:b@host/x', 'ssh://git:pw@host/x'])(
  '%s is refused as a usage error, as it holds a secret',
  async (url) => {
    const refused = repositoryHere(url, { cwd: dir, env: process.env });
    await expect(refused).rejects.toThrow('has user-info in it');
    await expect(refused).rejects.toMatchObject({ exitCode: 2 });
  },
);

test('an error about a secret in a URL does not repeat the secret', async () => {
  await expect(locationOf('https://u:hunter2@host/x')).rejects.toThrow(/^(?!.*hunter2)/s);
});

test.each([
  ['SPEC.md', 'SPEC.md'],
  ['docs/spec', 'docs/spec'],
  ['Build a parser.', { text: 'Build a parser.' }],
  ['one\ntwo', { text: 'one\ntwo' }],
  ['@spec.md', { text: '# Build it\n' }],
])('the spec %j is %j', (spec, source) => expect(specSource(spec, dir)).toEqual(source));

test.each(['@spec', '@./spec/'])('the spec %j is the texts of that folder, README first, links left out', (spec) =>
  expect(specSource(spec, dir)).toEqual({
    files: [
      { path: 'README.md', text: 'first\n' },
      { path: 'b.md', text: 'second\n' },
      { path: 'deep/c.txt', text: 'third\n' },
    ],
  }),
);

test('the input of a run takes a folder, each path once and no more than a planner is shown', () => {
  const input = (files: object[]) => () => PlannerInput.parse({ repo: '/x', spec: { files } });
  const file = (path: string, text: string) => ({ path, text });
  expect(input([file('a', 'x'), file('b', 'y')])().spec).toEqual({ files: [file('a', 'x'), file('b', 'y')] });
  expect(input([])).toThrow('the folder of the spec is empty');
  expect(input([file('a', 'x'), file('a', 'y')])).toThrow('a path is there twice');
  expect(input([file('a', 'x'.repeat(150_000)), file('b', 'y'.repeat(50_001))])).toThrow('at most 200000 bytes');
});

test.each([
  ['', 'The spec is empty'],
  ['  ', 'The spec is empty'],
  ['@', 'failed: '],
  ['@gone', 'gone failed: ENOENT'],
  ['@pictures', 'pictures is a folder without a text'],
  ['@many', 'many is a folder of more than 200 files'],
  ['@long', 'long is a folder with 240000 bytes of text; at most 200000 are shown'],
])('the spec %j is refused', (spec, message) => expect(() => specSource(spec, dir)).toThrow(message));

test('what is not given is not in the input, so that lower layers decide', async () => {
  const here = { cwd: dir, env: process.env };
  expect(await plannerInput({ repo: 'repo.git', spec: 'S', base: undefined }, here)).toEqual({
    repo: join(dir, 'repo.git'),
    spec: 'S',
  });
  const all = {
    repo: 'repo.git',
    spec: 'S',
    base: 'b',
    branch: 'main',
    maxWorkers: 3,
    deliver: 'pull-request',
    approvals: ['plan'],
  };
  expect(await plannerInput(all, here)).toEqual({
    repo: join(dir, 'repo.git'),
    spec: 'S',
    base: 'b',
    branch: 'main',
    settings: { maxWorkers: 3, deliver: 'pull-request', approvals: ['plan'] },
  });
});

test('a run without an id gets one from the repository and the time, different each time', () => {
  const now = new Date('2031-02-03T04:05:06Z');
  expect(runId(undefined, 'https://host/My_Lib.git/', now)).toMatch(/^my-lib-02030405-[0-9a-f]{4}$/);
  expect(runId(undefined, '/', now)).toMatch(/^run-02030405-/);
  expect(new Set(Array.from({ length: 5 }, () => runId(undefined, 'x', now))).size).toBeGreaterThan(1);
});

test.each(['', '-x', 'a/b', 'ä', 'x'.repeat(81)])('the run id %j is refused', (id) =>
  expect(() => runId(id, 'repo')).toThrow('cannot be the id of a run'),
);
