/** As an ordinary user; root may read all, so what it may not is stood in for by what nobody can: a circle of links. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canBeCopied } from '../../../src/activities/support/readable.ts';
import { registrySettings } from '../../../src/activities/sandbox/network/host-registries.ts';
import { findToolchains } from '../../../src/activities/sandbox/local/toolchains.ts';
import { temporaryFolder } from '../../support/repos.ts';

let folder: ReturnType<typeof temporaryFolder>;
const at = (...names: string[]): string => join(folder.dir, ...names);
const isRoot = process.getuid?.() === 0;

beforeEach(() => {
  folder = temporaryFolder();
  for (const name of ['home', 'tool/bin', 'tool/lib', 'locked/bin']) mkdirSync(at(name), { recursive: true });
  symlinkSync('circle', at('circle'));
});
afterEach(() => {
  chmodSync(at('locked'), 0o700);
  folder.remove();
});

describe('what the worker may not read', () => {
  it('on its PATH is left out, and what comes after it is found', () => {
    writeFileSync(at('file'), '');
    const long = at('x'.repeat(300));
    const PATH = [at('circle/bin'), at('file'), at('file/bin'), long, at('tool/bin')].join(':');
    const { binds, path } = findToolchains({ PATH }, [], at('home'));
    expect(binds).toEqual([at('tool')]);
    expect(path.filter((each) => each.startsWith(folder.dir))).toEqual([at('tool/bin')]);
  });

  it.skipIf(isRoot)('by its rights is left out too: folders below a closed one, and a closed one', () => {
    writeFileSync(at('locked/ca.pem'), '-----BEGIN CERTIFICATE-----\n');
    chmodSync(at('locked'), 0o000);
    const { binds } = findToolchains({ PATH: [at('locked/bin'), at('locked'), at('tool/bin')].join(':') });
    expect(binds).toEqual([at('tool')]);
    const { env } = registrySettings({ NODE_EXTRA_CA_CERTS: at('locked/ca.pem') }, at('home'));
    expect(env).toEqual({});
  });

  it('among its package settings and certificates is left out', () => {
    symlinkSync('.npmrc', at('home/.npmrc'));
    const env = { NODE_EXTRA_CA_CERTS: at('circle'), SSL_CERT_FILE: at('tool'), PIP_FIND_LINKS: at('circle') };
    const settings = registrySettings(env, at('home'));
    expect(settings.env).toEqual({});
    expect(settings.binds.filter(({ from }) => from.startsWith(folder.dir))).toEqual([]);
  });

  it('is not copied, but links are, as they are', async () => {
    expect(await canBeCopied(at('circle'))).toBe(true);
    expect(await canBeCopied(at('tool'))).toBe(true);
    expect(await canBeCopied(at('nothing'))).toBe(false);
    chmodSync(at('locked'), 0o000);
    expect(await canBeCopied(at('locked'))).toBe(isRoot);
  });
});
