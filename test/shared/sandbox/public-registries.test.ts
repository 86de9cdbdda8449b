import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { PUBLIC_REGISTRIES } from '../../../src/shared/sandbox/public-registries.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const HOSTS = Object.values(PUBLIC_REGISTRIES).flat();

test('the hosts of public registries are written in one file only', () => {
  const files = globSync(
    '{*,{bench,bin,docs,examples,infra,prompts,src,test}/**/*}.{ts,tsx,js,mjs,json,md,sh,txt,toml}',
    {
      cwd: ROOT,
      exclude: ['**/node_modules/**'],
    },
  );
  const naming = files.filter((file) => {
    const text = readFileSync(join(ROOT, file), 'utf8');
    return HOSTS.some((host) => text.includes(host));
  });
  expect(naming).toEqual(['src/shared/sandbox/public-registries.ts']);
});
