import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { globMatcher } from '../../../src/activities/sandbox/tools/search.ts';
import { call, type TestHost, testHost } from './support.ts';

describe('tools in a sandbox', () => {
  let host: TestHost;
  let id: string;
  let turn = 0;
  beforeAll(async () => {
    host = await testHost({
      limits: { outputBytes: 3_000 },
      files: {
        'README.md': 'one\ntwo\nthree\n',
        'src/a.ts': 'export const a = 1;\n',
        'src/deep/b.ts': 'export const b = a;\n',
        'odd $(touch pwned) [x]*.txt': 'odd\n',
        'crlf.txt': 'first\r\nsecond\r\n',
        'latin.txt': Buffer.from([0x63, 0x61, 0x66, 0xe9, 0x0a, 0x78, 0x0a]),
        binary: Buffer.from([1, 0, 2]),
        '.gitignore': 'node_modules/\n',
      },
    });
    id = await host.open();
  });
  afterAll(() => host.close());
  const use = async (name: string, args: object | string) => {
    const { results } = await host.act(id, ++turn, [call(name, args)]);
    return results[0] ?? { status: 'error', output: 'no result' };
  };

  it('read numbers lines from the offset and says how to read on', async () => {
    expect(await use('read', { path: 'README.md' })).toMatchObject({
      status: 'ok',
      output: '     1\tone\n     2\ttwo\n     3\tthree',
    });
    expect(await use('read', { path: '/workspace/README.md', offset: 2, limit: 1 })).toMatchObject({
      output: '     2\ttwo\n[There is more: read on with offset 3.]',
    });
    await use('bash', { command: 'seq 1 100000 > long.txt' });
    const { output } = await use('read', { path: 'long.txt' });
    const next = Number(/read on with offset (\d+)/.exec(output)?.[1]);
    expect((await use('read', { path: 'long.txt', offset: next, limit: 1 })).output).toMatch(
      new RegExp(`^ *${next}\\t${next}\n`),
    );
  });

  it('read answers a mistake with what is wrong', async () => {
    expect(await use('read', { path: 'nope.txt' })).toMatchObject({
      status: 'error',
      output: 'nope.txt: No such file or directory',
    });
    expect((await use('read', { path: 'src' })).output).toContain('it is a folder');
    expect((await use('read', { path: 'binary' })).output).toContain('binary');
    expect((await use('read', { path: '/dev/zero' })).output).toContain('not a regular file');
    expect((await use('read', '{"path": 3}')).output).toContain('path:');
    expect((await use('read', 'not json')).output).toContain('not JSON');
    expect((await use('delete_all', {})).output).toContain('The tools are: read, write, edit, bash, grep, find, ls.');
  });

  it('write makes folders, takes any bytes of text, and keeps an executable executable', async () => {
    const content = 'a\'b"c `$x` \\ \u001b[31m é\n'.repeat(3);
    expect((await use('write', { path: 'new/deep/ $(touch pwned).txt', content })).status).toBe('ok');
    expect((await use('bash', { command: 'cat new/deep/*; test ! -e pwned' })).output).toBe(
      content.replaceAll('\u001b', '\\x1b'),
    );
    await use('bash', { command: 'printf "#!/bin/sh\\n" > run.sh; chmod +x run.sh' });
    await use('write', { path: 'run.sh', content: '#!/bin/sh\necho ran\n' });
    expect((await use('bash', { command: './run.sh' })).output).toBe('ran\n');
    expect((await use('write', { path: '/usr/bin/evil', content: '' })).status).toBe('error');
  });

  it('edit replaces a text that occurs once, byte by byte', async () => {
    expect((await use('edit', { path: 'src/a.ts', oldText: '= 1', newText: '= $&$1' })).output).toBe(
      'Edited src/a.ts at line 1.',
    );
    expect((await use('read', { path: 'src/a.ts' })).output).toContain('export const a = $&$1;');
    expect((await use('edit', { path: 'README.md', oldText: 'o', newText: 'x' })).output).toContain('occurs 2 times');
    expect((await use('edit', { path: 'README.md', oldText: 'zero', newText: 'x' })).output).toContain(
      'does not occur',
    );
    await use('edit', { path: 'crlf.txt', oldText: 'first\nsecond', newText: 'first\n2nd' });
    expect((await use('bash', { command: 'od -c crlf.txt | head -2' })).output).toContain(
      '\\r  \\n   2   n   d  \\r  \\n',
    );
    await use('edit', { path: 'latin.txt', oldText: 'x', newText: 'y' });
    expect((await use('bash', { command: 'od -An -tx1 latin.txt' })).output.trim()).toBe('63 61 66 e9 0a 79 0a');
  });

  it('bash gives both outputs in order, the exit code, and starts at the root of the work tree', async () => {
    expect(await use('bash', { command: 'echo 1; echo 2 >&2; echo 3; pwd; exit 7' })).toMatchObject({
      status: 'error',
      output: '1\n2\n3\n/workspace\n[The command ended with code 7.]',
    });
    expect((await use('bash', { command: 'printf "\\xff\\xfe\\x00ok"' })).output).toBe('\ufffd\ufffd\\0ok');
  });

  it('bash cuts a long output to head and tail, with the whole in a file that the agent can read and not write', async () => {
    const { output } = await use('bash', { command: 'seq 1 20000' });
    expect(output).toMatch(/^1\n2\n/);
    expect(output).toMatch(/\n20000\n$/);
    expect(Buffer.byteLength(output)).toBeLessThan(3_300);
    const file = /is in (\S+) …/.exec(output)?.[1];
    expect((await use('bash', { command: `wc -l < ${file}; sed -n 10000p ${file}; echo x > ${file}` })).output).toMatch(
      /^20000\n10000\n.*Read-only file system/,
    );
  });

  it('bash takes a command that is longer than one argument can be', async () => {
    const { output } = await use('bash', { command: `: ${'é'.repeat(90_000)}\necho long` });
    expect(output).toBe('long\n');
  });

  it('grep finds in tracked and new files, not in ignored ones, by path and glob', async () => {
    await use('bash', {
      command:
        'mkdir -p node_modules/x && echo "export const z" > node_modules/x/z.ts; echo "export const n" > src/n.ts',
    });
    expect((await use('grep', { pattern: 'export const [a-z]', glob: '*.ts' })).output.split('\n').sort()).toEqual([
      'src/a.ts:1:export const a = $&$1;',
      'src/deep/b.ts:1:export const b = a;',
      'src/n.ts:1:export const n',
    ]);
    expect((await use('grep', { pattern: 'export', path: 'src/deep' })).output).toBe(
      'src/deep/b.ts:1:export const b = a;',
    );
    expect((await use('grep', { pattern: 'export', path: 'src/deep/b.ts', glob: '*.ts' })).output).toContain(
      'src/deep/b.ts:1:',
    );
    expect((await use('grep', { pattern: 'odd', path: 'odd $(touch pwned) [x]*.txt' })).output).toContain(':1:odd');
    expect((await use('grep', { pattern: 'nothing like it' })).output).toBe('[No match.]');
    expect((await use('grep', { pattern: '(', path: 'src' })).status).toBe('error');
    expect((await use('grep', { pattern: 'root:', path: '/etc/passwd' })).output).toContain('root:x:0:0');
  });

  it("grep does without the agent's .git when that is damaged", async () => {
    await use('bash', { command: 'mv .git /tmp/away' });
    expect((await use('grep', { pattern: 'const b', glob: '*.ts' })).output).toContain('src/deep/b.ts:1:');
    await use('bash', { command: 'mv /tmp/away .git' });
  });

  it('find and ls list files and folders', async () => {
    expect((await use('find', { pattern: '*.ts', path: 'src' })).output).toBe('src/a.ts\nsrc/deep/b.ts\nsrc/n.ts');
    expect((await use('find', { pattern: 'src/**/b.?s' })).output).toBe('src/deep/b.ts');
    expect((await use('find', { pattern: 'z.ts' })).output).toBe('[No file matches.]');
    expect((await use('ls', { path: 'src' })).output).toBe('a.ts\ndeep/\nn.ts');
    expect((await use('ls', { path: 'nope' })).status).toBe('error');
  });
});

it.each([
  ['*.ts', 'a/b.ts', true],
  ['*.ts', 'a/b.tsx', false],
  ['a/*.ts', 'a/b/c.ts', false],
  ['a/**/c.ts', 'a/c.ts', true],
  ['?.ts', 'x/a.ts', true],
  ['a+(b).ts', 'a+(b).ts', true],
  ['./src/*', 'src/x', true],
] as const)('the glob %s against %s is %s', (pattern, path, expected) => {
  expect(globMatcher(pattern)(path)).toBe(expected);
});
