import { readFileSync } from 'node:fs';
import { arch } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CATEGORIES } from './attack.ts';
import { ATTACKS } from './attacks/index.ts';
import { runAttack } from './run.ts';
import { Stage } from './stage.ts';

/** At least one of each category, quick ones; `npm run attack` runs all. */
const QUICK = [
  ...[
    'env',
    'env-parent',
    'proc-mem',
    'read-outside',
    'write-outside',
    'mirror-write',
    'link-read',
    'link-write',
    'link-delete',
  ],
  ...['fsmonitor', 'filter-clean', 'hook-pre-commit', 'hook-post-index-change', 'submodule-update', 'nested-bare'],
  ...['ext', 'location-option', 'branch-option', 'grep-pager', 'read-path', 'trailers'],
  ...['tree-git', 'tree-dots', 'modules-url', 'missing-blob', 'pack-bit'],
  ...['preload', 'enable', 'kill', 'trace'],
  ...['open-files', 'memory', 'outlive-daemon', 'disk-allocate', 'kill-kill', 'ptrace-attach', 'ptrace-own'],
  ...['mount-bind', 'user-namespace', 'open-by-handle', 'core-pattern', 'mknod-block', 'keys', 'compat'],
  ...['tcp-loopback', 'unix-abstract', 'dns-udp', 'set-time', 'terminal-c1', 'endless', 'newline-path', 'not-utf8'],
];

test('there are at least 120 attacks, each with a name of its own, in all categories', () => {
  expect(ATTACKS.length).toBeGreaterThanOrEqual(120);
  expect(new Set(ATTACKS.map(({ id, category }) => `${category}/${id}`)).size).toBe(ATTACKS.length);
  expect(new Set(ATTACKS.map(({ category }) => category))).toEqual(new Set(CATEGORIES));
  expect(QUICK.filter((id) => !ATTACKS.some((attack) => attack.id === id))).toEqual([]);
});

test('the table in docs/security.md has the attacks that there are', () => {
  const rows = new Map(
    [
      ...readFileSync('docs/security.md', 'utf8').matchAll(/^\| ([^|*]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$/gm),
    ].map(([, name = '', ...counts]) => [name, counts.map(Number)]),
  );
  const expected = CATEGORIES.map((category) => {
    const all = ATTACKS.filter((attack) => attack.category === category);
    const shownByAnyone = all.filter(({ root }) => root !== true);
    return [category, [all.length, all.length, shownByAnyone.length, 0]] as const;
  });
  expect([...rows]).toEqual(expected);
});

describe.skipIf(arch() !== 'x64')('an attack succeeds without the sandbox and fails inside:', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  });
  afterAll(() => stage.close());
  const isRoot = process.getuid?.() === 0;
  const quick = ATTACKS.filter(({ id }) => QUICK.includes(id));

  test.each(quick.map((attack) => [attack.goal, attack] as const))('%s', async (_, attack) => {
    const control = attack.root === true && !isRoot ? 'cannot' : 'won';
    expect(await runAttack(stage, attack)).toMatchObject({ control, inside: 'lost' });
  });
});
