import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');

test('npm ci takes the lockfile as it is, on a machine that has nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lockfile-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const file of ['package.json', 'package-lock.json', '.npmrc'])
    copyFileSync(join(ROOT, file), join(folder, file));
  const output = await new Promise<string>((resolve) => {
    execFile('npm', ['ci', '--dry-run', '--loglevel=error'], { cwd: folder }, (error, stdout, stderr) =>
      resolve(error === null ? 'accepted' : `${stdout}\n${stderr}\nAfter a change of dependencies: npm run lockfile`),
    );
  });
  expect(output).toBe('accepted');
});

test('the lockfile names no registry, so that it serves behind any', () => {
  expect(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).not.toContain('"resolved"');
});
