import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { outsidePath, staleReason } from '../../../infra/setup/npm.mjs';

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true, force: true })));

type Packages = Record<string, { version: string; integrity?: string; optional?: boolean }>;

function checkout(wanted: Packages, installed: Packages | null): string {
  const folder = mkdtempSync(join(tmpdir(), 'stale-'));
  folders.push(folder);
  writeFileSync(
    join(folder, 'package-lock.json'),
    JSON.stringify({ packages: { '': { version: '1.0.0' }, ...wanted } }),
  );
  if (installed === null) return folder;
  mkdirSync(join(folder, 'node_modules'));
  writeFileSync(join(folder, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: installed }));
  return folder;
}

const A = { version: '1.0.0', integrity: 'sha512-a' };

test.each<[string, Packages, Packages | null, RegExp | null]>([
  ['what the lockfile says is installed', { 'node_modules/a': A }, { 'node_modules/a': A }, null],
  ['nothing is installed', { 'node_modules/a': A }, null, /missing or incomplete/],
  ['a package is missing', { 'node_modules/a': A, 'node_modules/b': A }, { 'node_modules/a': A }, /node_modules\/b/],
  [
    'another version is installed',
    { 'node_modules/a': A },
    { 'node_modules/a': { ...A, version: '0.9.0' } },
    /0\.9\.0/,
  ],
  [
    'the same version has another content',
    { 'node_modules/a': A },
    { 'node_modules/a': { ...A, integrity: 'sha512-b' } },
    /node_modules\/a/,
  ],
  ['a package for another platform is absent', { 'node_modules/a': { ...A, optional: true } }, {}, null],
])('when %s, it is told whether npm ci is needed', (_name, wanted, installed, reason) => {
  const said = staleReason(checkout(wanted, installed));
  if (reason === null) expect(said).toBeNull();
  else expect(said).toMatch(reason);
});

test('npm ci does not run under the Node that it deletes', () => {
  const before = process.env.PATH;
  process.env.PATH = '/co/node_modules/.bin:/co/node_modules/node/bin:/usr/bin:/co/node_modules-other';
  try {
    expect(outsidePath('/co')).toBe('/usr/bin:/co/node_modules-other');
  } finally {
    process.env.PATH = before;
  }
});
