import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { closingLine, COUNTS_FILE_VARIABLE, parseCounts } from '../../../infra/gates/counts.ts';

const ROOT = join(import.meta.dirname, '../../..');
let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'closing-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs these test files with the project's reporter. */
function vitest(files: Record<string, string>, env: NodeJS.ProcessEnv = {}): Promise<{ code: number; out: string }> {
  writeFileSync(
    join(folder, 'vitest.config.mjs'),
    `export default { test: { globals: true, reporters: ['default', ${JSON.stringify(join(ROOT, 'test/support/reporter.ts'))}] } };`,
  );
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^VITEST|^AGENTSWARM_/.test(name)));
  return new Promise((resolve) => {
    execFile(
      join(ROOT, 'node_modules/.bin/vitest'),
      ['run', '--root', folder],
      { env: { ...clean, ...env } },
      (error, out) => resolve({ code: error === null ? 0 : Number(error.code), out }),
    );
  });
}

const lastLine = (text: string): string | undefined => text.trimEnd().split('\n').at(-1);

const MIXED = `test('a', () => {}); test('b', () => { throw new Error('b'); }); test.skip('c', () => {}); test('d', () => {});`;

test('the last line counts tests by outcome, alone on its line', async () => {
  const { code, out } = await vitest({ 'mixed.test.mjs': MIXED });
  expect(lastLine(out)).toBe('2 passed, 1 failed, 1 skipped');
  expect(code).toBe(1);
});

test('a file that cannot be loaded counts as one failure', async () => {
  const { code, out } = await vitest({
    'broken.test.mjs': 'throw new Error("at load")',
    'a.test.mjs': `test('a', () => {})`,
  });
  expect(lastLine(out)).toBe('1 passed, 1 failed');
  expect(code).toBe(1);
});

test('an error outside of any test counts as a failure', async () => {
  const { code, out } = await vitest({
    'late.test.mjs': `test('a', () => { void Promise.reject(new Error('lost')); });`,
  });
  expect(lastLine(out)).toBe('1 passed, 1 failed');
  expect(code).toBe(1);
});

test('for the gates the counts go to a file instead', async () => {
  const file = join(folder, 'counts.json');
  const { out } = await vitest({ 'mixed.test.mjs': MIXED }, { [COUNTS_FILE_VARIABLE]: file });
  expect(out).not.toMatch(/^2 passed, 1 failed/m);
  expect(parseCounts(readFileSync(file, 'utf8'))).toEqual({ passed: 2, failed: 1, skipped: 1 });
});

test('what is not counts is not taken for any', () => {
  expect(parseCounts('')).toBeNull();
  expect(parseCounts('{"passed":1}')).toBeNull();
  expect(closingLine({ passed: 3, failed: 0, skipped: 0 })).toBe('3 passed, 0 failed');
});
