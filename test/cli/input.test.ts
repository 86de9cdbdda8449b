import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { plannerInput, repositoryLocation, runId, specSource } from '../../src/cli/input.ts';

let dir: string;
beforeAll(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'agentswarm-input-')));
  mkdirSync(join(dir, 'repo.git'));
  symlinkSync(join(dir, 'repo.git'), join(dir, 'link'));
  writeFileSync(join(dir, 'spec.md'), '# Build it\n');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('a relative path of a repository becomes absolute and real, through links', () => {
  expect(repositoryLocation('repo.git', dir)).toBe(join(dir, 'repo.git'));
  expect(repositoryLocation('./link/', dir)).toBe(join(dir, 'repo.git'));
});

test.each(['https://host/x.git', 'ssh://git@host:22/x.git', 'git@host:team/x.git', 'file:///srv/x.git'])(
  '%s is taken as it is',
  (url) => expect(repositoryLocation(url, dir)).toBe(url),
);

test.each(['https://token@host/x', 'https://a:b@host/x', 'ssh://git:pw@host/x'])(
  '%s is refused, as it holds a secret',
  (url) => expect(() => repositoryLocation(url, dir)).toThrow('has a user or password in it'),
);

test('an error about a secret in a URL does not repeat the secret', () => {
  expect(() => repositoryLocation('https://u:hunter2@host/x', dir)).toThrow(/^(?!.*hunter2)/s);
});

test.each([
  ['SPEC.md', 'SPEC.md'],
  ['docs/spec', 'docs/spec'],
  ['Build a parser.', { text: 'Build a parser.' }],
  ['one\ntwo', { text: 'one\ntwo' }],
  ['@spec.md', { text: '# Build it\n' }],
])('the spec %j is %j', (spec, source) => expect(specSource(spec, dir)).toEqual(source));

test.each([
  ['', 'The spec is empty'],
  ['  ', 'The spec is empty'],
  ['@', 'failed: '],
  ['@gone', 'gone failed: ENOENT'],
])('the spec %j is refused', (spec, message) => expect(() => specSource(spec, dir)).toThrow(message));

test('what is not given is not in the input, so that lower layers decide', () => {
  expect(plannerInput({ repo: 'repo.git', spec: 'S', base: undefined }, dir)).toEqual({
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
  expect(plannerInput(all, dir)).toEqual({
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
