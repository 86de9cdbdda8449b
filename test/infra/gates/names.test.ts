import { describe, expect, it } from 'vitest';
import { exportedTwice, forbiddenWords, importCircles, roomsAgainstTree } from '../../../infra/gates/names/rules.ts';
import { parseSource } from '../../../infra/gates/names/source.ts';
import { forbiddenIn } from '../../../infra/gates/names/words.ts';

const sources = (files: Record<string, string>) => Object.entries(files).map(([path, text]) => parseSource(path, text));

describe('exported names', () => {
  it('are one thing: two files that define the same name are told with both places', () => {
    const found = exportedTwice(
      sources({
        'src/a.ts': 'export type Lease = { a: 1 };\nexport function b() {}\n',
        'src/b.ts': '\nexport const Lease = 1;\nexport const { b } = { b: 1 };\n',
      }),
    );
    expect(found).toEqual([
      '`Lease` is exported by src/a.ts:1 and src/b.ts:2: one name, one concept',
      '`b` is exported by src/a.ts:2 and src/b.ts:3: one name, one concept',
    ]);
  });

  it('may be a schema and its type, be exported again, and be alike where they are not exported', () => {
    const found = exportedTwice(
      sources({
        'src/a.ts': 'export const Plan = 1;\nexport type Plan = string;\n',
        'src/b.ts': "export { Plan } from './a.ts';\nconst local = 1;\n",
        'src/c.ts': 'const local = 2;\n',
      }),
    );
    expect(found).toEqual([]);
  });
});

describe('words that are not used', () => {
  const words = forbiddenIn('## Not used\n\n| not | say |\n|---|---|\n| `told` | `informed` |\n');

  it('are found as variables, parameters, members and keys, and not in comments and texts', () => {
    const found = forbiddenWords(
      sources({
        'src/a.ts': "// told\nconst told = 'told';\nfunction f({ told }: { told: string }) {\n  return x.told;\n}\n",
      }),
      words,
    );
    expect(found).toEqual([
      'src/a.ts:2: `told` as a name; say `informed`',
      'src/a.ts:3: `told` as a name; say `informed`',
      'src/a.ts:3: `told` as a name; say `informed`',
      'src/a.ts:4: `told` as a name; say `informed`',
    ]);
  });

  it('stay as properties on the wire where open runs hold them, and only there', () => {
    const text = 'const value = message.told;\nconst { told: ids } = message;\n';
    const wire = new Map([['told', new Set(['src/a.ts'])]]);
    expect(forbiddenWords(sources({ 'src/a.ts': text }), words, wire)).toEqual([]);
    expect(forbiddenWords(sources({ 'src/b.ts': text }), words, wire)).toHaveLength(2);
    expect(forbiddenWords(sources({ 'src/a.ts': 'const told = 1;\n' }), words, wire)).toHaveLength(1);
  });
});

describe('import circles', () => {
  it('are found between files, for types only too', () => {
    const found = importCircles(
      sources({
        'src/a/1.ts': "import type { B } from './2.ts';\nexport type A = B;\n",
        'src/a/2.ts': "import type { A } from './1.ts';\nexport type B = A;\n",
      }),
    );
    expect(found).toEqual(['files import each other in a circle: src/a/1.ts, src/a/2.ts']);
  });

  it('are found between rooms whose files are in none', () => {
    const found = importCircles(
      sources({
        'src/a/1.ts': "import '../b/deep/1.ts';\n",
        'src/b/deep/1.ts': '',
        'src/b/2.ts': "import '../a/2.ts';\n",
        'src/a/2.ts': '',
      }),
    );
    expect(found).toEqual([
      'rooms import each other in a circle: src/a, src/b (src/a/1.ts imports src/b/deep/1.ts; src/b/2.ts imports src/a/2.ts)',
    ]);
  });

  it('are none between a folder and the folders inside it', () => {
    const found = importCircles(
      sources({ 'src/a/1.ts': "import './b/1.ts';\n", 'src/a/b/1.ts': "import '../2.ts';\n", 'src/a/2.ts': '' }),
    );
    expect(found).toEqual([]);
  });
});

it('the table of rooms names each folder, and no folder that is not there', () => {
  const table = '| `src/worker.ts` | it |\n| `src/shared` | it |\n| `src/gone` | it |\n';
  const found = roomsAgainstTree(
    table,
    sources({ 'src/worker.ts': '', 'src/shared/base/ids.ts': '', 'src/shared/a.ts': '' }),
  );
  expect(found).toEqual([
    'AGENTS.md has no row for `src/shared/base`',
    'AGENTS.md has a row for `src/gone`, which is not there',
  ]);
});
