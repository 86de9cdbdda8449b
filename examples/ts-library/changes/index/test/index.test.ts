import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import * as linework from 'linework';

test('everything that a module exports is exported by the package', async () => {
  const folder = new URL('../src/', import.meta.url);
  const modules = readdirSync(folder).filter((file) => file !== 'index.ts');
  assert.ok(modules.length >= 15, `${modules.length} modules`);
  for (const file of modules) {
    const module = (await import(new URL(file, folder).href)) as Record<string, unknown>;
    for (const [name, value] of Object.entries(module)) {
      assert.equal((linework as Record<string, unknown>)[name], value, `${name} of ${file}`);
    }
  }
});
