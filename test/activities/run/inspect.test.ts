import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { createInspect } from '../../../src/activities/run/inspect.ts';
import { bareRepository, temporaryFolder, type TestRepository } from '../../support/repos.ts';
import { recordingLog, runContext } from '../../support/run-context.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const log = recordingLog();
const inspect = createInspect({ mirrors: createMirrors({ dir: join(folder.dir, 'mirrors') }), log });
let repository: TestRepository;
let commit: string;

beforeAll(() => {
  repository = bareRepository(join(folder.dir, 'origin.git'), {
    'README.md': '# Title\nsecond line\n',
    'src/a.ts': 'export const alpha = 1;\nexport const beta = 2;\n',
    'src/deep/b.ts': 'import { alpha } from "../a.ts";\n',
    'src/*.ts': 'alpha of the file that is called like a glob\n',
    ':(top)x': 'alpha of the file that is called like magic\n',
    '-n': 'a file that is called like an option\n',
    'long.txt': `${Array.from({ length: 5_000 }, (_, i) => `line ${i + 1} ${'x'.repeat(20)}`).join('\n')}\n`,
    'wide.txt': `${'w'.repeat(100_000)}\n`,
    'binary.dat': Buffer.from([1, 0, 2]),
    'empty.txt': '',
    link: { mode: '120000', content: '/etc/passwd' },
    run: { mode: '100755', content: '#!/bin/sh\n' },
  });
  repository.commit({ 'src/a.ts': 'export const alpha = 1;\n' }, { message: 'Drop beta' });
  commit = repository.tip();
  repository.commit({ 'later.txt': 'not at this commit' }, { message: 'later' });
});

async function call(name: string, args: unknown) {
  const text = typeof args === 'string' ? args : JSON.stringify(args);
  const run = runContext(repository.dir, commit);
  const { results } = await inspect({ run, commit, calls: [{ id: 'c1', name, arguments: text }] });
  expect(results).toHaveLength(1);
  const [result] = results;
  if (result === undefined) throw new Error('no result');
  expect(result).toMatchObject({ callId: 'c1', name });
  expect(Buffer.byteLength(result.output)).toBeLessThanOrEqual(30_200);
  return { status: result.status, output: result.output };
}

const ok = (output: string | RegExp) => ({
  status: 'ok',
  output: output instanceof RegExp ? expect.stringMatching(output) : output,
});
const error = (output: RegExp) => ({ status: 'error', output: expect.stringMatching(output) });

describe('read', () => {
  it('numbers lines from 1', async () => {
    expect(await call('read', { path: 'README.md' })).toEqual(ok('1\t# Title\n2\tsecond line'));
  });

  it('begins at offset, ends at limit and says where to go on', async () => {
    expect(await call('read', { path: 'long.txt', offset: 10, limit: 2 })).toEqual(
      ok(/^10\tline 10 x+\n11\tline 11 x+\n\[5000 lines in all; go on with offset 12\]$/),
    );
  });

  it('shows whole lines only, up to its bound', async () => {
    const { output } = await call('read', { path: 'long.txt' });
    const next = Number(/go on with offset (\d+)\]$/.exec(output)?.[1]);
    expect(next).toBeGreaterThan(500);
    expect(output).toContain(`\n${next - 1}\tline ${next - 1} xxxxxxxxxxxxxxxxxxxx\n`);
  });

  it('cuts a line that is too wide', async () => {
    expect(await call('read', { path: 'wide.txt' })).toEqual(ok(/^1\tw{2000} \[line cut\]$/));
  });

  it('shows a symbolic link as what it is and never follows it', async () => {
    expect(await call('read', { path: 'link' })).toEqual(ok('(symbolic link to /etc/passwd)'));
  });

  it('takes names that look like options, magic and globs as names', async () => {
    expect(await call('read', { path: '-n' })).toEqual(ok(/called like an option/));
    expect(await call('read', { path: ':(top)x' })).toEqual(ok(/called like magic/));
    expect(await call('read', { path: 'src/*.ts' })).toEqual(ok(/called like a glob/));
  });

  it('answers a mistake with what to do', async () => {
    expect(await call('read', { path: 'later.txt' })).toEqual(error(/no file "later.txt" at/));
    expect(await call('read', { path: 'src' })).toEqual(error(/is a folder: list it with ls/));
    expect(await call('read', { path: '../../etc/passwd' })).toEqual(error(/leads out of the repository/));
    expect(await call('read', { path: 'binary.dat' })).toEqual(error(/is binary \(3 bytes\)/));
    expect(await call('read', { path: 'README.md', offset: 9 })).toEqual(error(/has 2 lines; offset 9 is behind/));
    expect(await call('read', {})).toEqual(error(/do not fit its schema:\n- path/));
    expect(await call('read', '{"path"')).toEqual(error(/are not JSON/));
  });

  it('says that a file is empty', async () => {
    expect(await call('read', { path: 'empty.txt' })).toEqual(ok('(empty file)'));
  });
});

describe('grep', () => {
  it('gives file, line and text, all over the tree', async () => {
    const { output } = await call('grep', { pattern: 'alph[a]' });
    expect(output.split('\n').sort()).toEqual([
      ':(top)x:1:alpha of the file that is called like magic',
      'src/*.ts:1:alpha of the file that is called like a glob',
      'src/a.ts:1:export const alpha = 1;',
      'src/deep/b.ts:1:import { alpha } from "../a.ts";',
    ]);
  });

  it('keeps to a path and a glob', async () => {
    expect(await call('grep', { pattern: 'alpha', path: 'src/deep' })).toEqual(ok(/^src\/deep\/b.ts:1:[^\n]*$/));
    expect(await call('grep', { pattern: 'alpha', glob: 'a.ts' })).toEqual(ok('src/a.ts:1:export const alpha = 1;'));
    expect(await call('grep', { pattern: 'alpha', path: ':(top)x' })).toEqual(ok(/^:\(top\)x:1:/));
    expect(await call('grep', { pattern: 'alpha', path: 'src/*.ts' })).toEqual(ok(/^src\/\*.ts:1:alpha of[^\n]*$/));
  });

  it('says that nothing matches', async () => {
    expect(await call('grep', { pattern: 'nowhere-to-be-found' })).toEqual(ok('No match.'));
    expect(await call('grep', { pattern: 'beta' })).toEqual(ok('No match.'));
  });

  it('takes a pattern that looks like an option as a pattern', async () => {
    expect(await call('grep', { pattern: '--open-files-in-pager=touch' })).toEqual(ok('No match.'));
  });

  it('gives a bad pattern back with what git says of it', async () => {
    expect(await call('grep', { pattern: '(' })).toEqual(error(/does not take this pattern: .*[Uu]nmatched/));
  });

  it('bounds what it gives and counts the rest', async () => {
    expect(await call('grep', { pattern: 'line' })).toEqual(ok(/\[4\d\d\d more matches; 500\d in \d files: narrow/));
    expect(await call('grep', { pattern: 'www' })).toEqual(ok(/^wide.txt:1:w{500} \[line cut\]$/));
  });
});

describe('find, ls and log', () => {
  it('finds files by name or path, below a folder', async () => {
    expect(await call('find', { pattern: '*.ts' })).toEqual(ok('src/*.ts\nsrc/a.ts\nsrc/deep/b.ts'));
    expect(await call('find', { pattern: 'deep/*', path: 'src' })).toEqual(ok('src/deep/b.ts'));
    expect(await call('find', { pattern: '*.py' })).toEqual(ok('No file below / matches *.py.'));
    expect(await call('find', { pattern: '*', path: 'nowhere' })).toEqual(error(/no folder "nowhere"/));
  });

  it('lists a folder, folders ending in /', async () => {
    expect(await call('ls', { path: 'src/' })).toEqual(ok('*.ts\na.ts\ndeep/'));
    expect((await call('ls', {})).output.split('\n')).toContain('src/');
    expect((await call('ls', { path: '/' })).output.split('\n')).not.toContain('later.txt');
    expect(await call('ls', { path: 'README.md' })).toEqual(error(/is not a folder: use read/));
    expect(await call('ls', { path: 'nowhere' })).toEqual(error(/There is no "nowhere"/));
  });

  it('shows the newest commits first, of one path too', async () => {
    expect(await call('log', {})).toEqual(ok(/^[0-9a-f]{10} \d{4}-\d\d-\d\d Drop beta\n[0-9a-f]{10} \S+ first$/));
    expect(await call('log', { path: 'README.md' })).toEqual(ok(/^[0-9a-f]{10} \S+ first$/));
    expect(await call('log', { limit: 1 })).toEqual(ok(/^[^\n]*Drop beta$/));
    expect(await call('log', { path: 'nowhere' })).toEqual(ok('No commit touches nowhere.'));
  });
});

it('a tool that planners do not have is refused by name, and the next call is answered all the same', async () => {
  const calls = [
    { id: '1', name: 'bash', arguments: '{"command":"ls"}' },
    { id: '2', name: 'toString', arguments: '{}' },
    { id: '3', name: 'read', arguments: '{"path":"README.md","limit":1}' },
  ];
  const { results } = await inspect({ run: runContext(repository.dir, commit), commit, calls });
  expect(results.map(({ callId, status }) => [callId, status])).toEqual([
    ['1', 'error'],
    ['2', 'error'],
    ['3', 'ok'],
  ]);
  expect(results[0]?.output).toMatch(/There is no tool "bash" here. Offered: read, grep, find, ls, log, submit_plan/);
});

it('a commit that the repository does not have is an error of the activity, not of the model', async () => {
  const gone = 'a'.repeat(40);
  await expect(inspect({ run: runContext(repository.dir, commit), commit: gone, calls: [] })).rejects.toThrow(gone);
});
