import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');

/** One file for each rule, each of which breaks only that one. */
const VIOLATIONS: Record<string, [file: string, text: string]> = {
  'shared-is-ours-alone': ['src/shared/a.ts', `import '../cli/target.ts';`],
  'shared-has-no-io': ['src/shared/b.ts', `import { readFileSync } from 'node:fs'; export const b = readFileSync;`],
  'shared-knows-pure-packages-only': ['src/shared/c.ts', `import { pino } from 'pino'; export const c = pino;`],
  'workflows-are-deterministic': [
    'src/workflows/d.ts',
    `import { hostname } from 'node:os'; export const d = hostname;`,
  ],
  'workflows-know-shared-only': ['src/workflows/e.ts', `import '../activities/target.ts';`],
  'activities-know-shared-only': ['src/activities/f.ts', `import '../cli/target.ts';`],
  'what-all-import-knows-shared-only': ['src/host/processes.ts', `import '../cli/target.ts';`],
  'simple-git-looks-for-people-only': [
    'src/activities/n.ts',
    `import { simpleGit } from 'simple-git'; export const n = simpleGit;`,
  ],
  'people-watch-through-temporal': ['src/cli/g.ts', `import '../workflows/target.ts';`],
  'dashboard-knows-shared-only': ['src/dashboard/h.ts', `import '../cli/target.ts';`],
  'nothing-knows-the-command': ['src/m.ts', `import './cli/target.ts';`],
  'product-does-not-know-its-tests': ['src/i.ts', `import '../test/target.ts';`],
  'set-up-needs-nothing-installed': ['infra/setup/j.mjs', `import 'zod';`],
  'not-resolved': ['src/k.ts', `import './nowhere.ts';`],
  'no-cycles': ['src/l1.ts', `import './l2.ts';`],
};

const ALLOWED: Record<string, string> = {
  'src/shared/ok.ts': `import { z } from 'zod'; import type { Stats } from 'node:fs'; export type X = Stats; export const ok = z;`,
  'src/workflows/ok.ts': `import type { T } from '../activities/target.ts'; import '../shared/target.ts'; export type Y = T;`,
  'src/host/local-repository.ts': `import { simpleGit } from 'simple-git'; export const ok = simpleGit;`,
  'src/worker-ok.ts': `import './activities/target.ts'; import './shared/target.ts';`,
};

let folder: string;
let violations: { rule: string; from: string }[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'layers-'));
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  };
  for (const room of ['src/shared', 'src/workflows', 'src/activities', 'src/cli', 'src/dashboard', 'test']) {
    write(`${room}/target.ts`, 'export type T = string;\n');
  }
  write('src/l2.ts', `import './l1.ts';`);
  for (const [file, text] of [...Object.values(VIOLATIONS), ...Object.entries(ALLOWED)]) write(file, text);
  write('tsconfig.json', '{"compilerOptions":{"module":"nodenext","allowJs":true}}');
  write('package.json', '{"type":"module","dependencies":{"zod":"*","pino":"*","simple-git":"*"}}');
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const args = ['--config', join(ROOT, '.dependency-cruiser.mjs'), '--output-type', 'json', 'src', 'infra', 'test'];
  const out = await new Promise<string>((resolve) => {
    execFile(join(ROOT, 'node_modules/.bin/depcruise'), args, { cwd: folder, maxBuffer: 1e8 }, (_error, stdout) =>
      resolve(stdout),
    );
  });
  const report = JSON.parse(out) as { summary: { violations: { rule: { name: string }; from: string }[] } };
  violations = report.summary.violations.map(({ rule, from }) => ({ rule: rule.name, from }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(Object.entries(VIOLATIONS))('%s is held', (rule, [file]) => {
  expect(violations).toContainEqual({ rule, from: file });
});

test.each(Object.keys(ALLOWED))('%s, which keeps to its layer, is let through', (file) => {
  expect(violations.filter(({ from }) => from === file)).toEqual([]);
});

test('every rule there is has its violation here', async () => {
  const config = (await import('../../../.dependency-cruiser.mjs')).default;
  expect((config.forbidden ?? []).map((rule) => String(rule.name)).sort()).toEqual(Object.keys(VIOLATIONS).sort());
});
