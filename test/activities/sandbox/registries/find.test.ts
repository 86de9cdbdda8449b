import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRegistryFinder } from '../../../../src/activities/sandbox/registries/find.ts';
import { openRecorder } from '../../../../src/activities/sandbox/registries/recorder.ts';
import type { RegistryClient, RegistryQuestion } from '../../../../src/shared/sandbox/registries.ts';
import { createTestLog } from '../../../support/log.ts';
import { temporaryFolder } from '../../../support/repos.ts';
import { type Mirror, startMirror } from './mirror.ts';

const has = (program: string) =>
  (process.env.PATH ?? '').split(':').some((folder) => existsSync(`${folder}/${program}`));

const folder = temporaryFolder('agentswarm-registries-');
let count = 0;
let mirror: Mirror;
beforeAll(async () => {
  mirror = await startMirror();
});
afterAll(() => {
  mirror.close();
  folder.remove();
});

/** A finder of a host whose home has these files, and what it leaves behind. */
function finderOf(files: Readonly<Record<string, string>>, env: Readonly<Record<string, string>> = {}) {
  const home = join(folder.dir, String(count++));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(home, path, '..'), { recursive: true });
    writeFileSync(join(home, path), text, { mode: 0o755 });
  }
  const dir = join(home, 'state');
  const { PATH = '', PYENV_ROOT, RUSTUP_HOME } = process.env;
  const tools = {
    PATH,
    PYENV_ROOT: PYENV_ROOT ?? join(process.env.HOME ?? '', '.pyenv'),
    RUSTUP_HOME: RUSTUP_HOME ?? join(process.env.HOME ?? '', '.rustup'),
  };
  const log = createTestLog();
  const finder = createRegistryFinder({ dir, env: { HOME: home, ...tools, ...env }, log });
  return { finder, home, log, left: () => (existsSync(dir) ? readdirSync(dir) : []) };
}

const question = (client: RegistryClient): RegistryQuestion => ({
  registry: client === 'pip' || client === 'uv' ? 'pypi' : client === 'pnpm' ? 'npm' : client,
  client,
});

async function failure(promise: Promise<unknown>): Promise<ApplicationFailure> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ApplicationFailure)) throw error;
  return error;
}

/** By client: the setting of a company's mirror, in the file in which a person writes it. */
const SETTINGS: readonly [
  client: RegistryClient,
  program: string,
  files: (origin: string) => Record<string, string>,
][] = [
  ['npm', 'npm', (origin) => ({ '.npmrc': `registry=${origin}/npm/\n` })],
  ['pnpm', 'pnpm', (origin) => ({ '.npmrc': `registry=${origin}/npm/\n` })],
  ['yarn', 'yarn', (origin) => ({ '.npmrc': `registry=${origin}/npm/\n`, '.yarnrc': `registry "${origin}/npm/"\n` })],
  ['pip', 'python3', (origin) => ({ '.config/pip/pip.conf': `[global]\nindex-url = ${origin}/simple\n` })],
  ['uv', 'uv', (origin) => ({ '.config/uv/uv.toml': `[[index]]\nurl = "${origin}/simple"\ndefault = true\n` })],
  [
    'cargo',
    'cargo',
    (origin) => ({
      '.cargo/config.toml': `[source.crates-io]\nreplace-with = "company"\n[source.company]\nregistry = "sparse+${origin}/cargo/"\n`,
    }),
  ],
  ['go', 'go', (origin) => ({ '.config/go/env': `GOPROXY=${origin}/go,direct\nGOSUMDB=off\n` })],
];

describe("a company's mirror in the host's own settings", () => {
  for (const [client, program, files] of SETTINGS)
    it.skipIf(!has(program))(
      `is found by ${client}, with the host of its downloads`,
      { timeout: 120_000 },
      async () => {
        const { finder, left } = finderOf(files(mirror.origin));
        const [found] = await finder.find([question(client)]);
        // Go asks loopback addresses without a proxy: where this mirror sends it for files is not recorded.
        expect(found?.hosts).toEqual(client === 'go' ? [mirror.index] : [mirror.index, mirror.files]);
        // Its files are not there.
        expect(found?.incomplete).toMatch(/ended with code \d+: ./);
        expect(left()).toEqual([]);
      },
    );

  it.skipIf(!has('go'))('is all that go names: not the hosts of modules, and no data base that is off', async () => {
    const { finder } = finderOf(
      {},
      { GOPROXY: `${mirror.origin}/go|direct`, GOSUMDB: 'sums.example+key https://sums.test/x' },
    );
    const [found] = await finder.find([question('go')]);
    expect(found?.urls).toEqual([`${mirror.origin}/go`]);
    expect(found?.hosts.slice(0, 2)).toEqual([mirror.index, 'sums.test']);
    expect(found?.hosts.some((host) => host.includes('github'))).toBe(false);
  });

  it('is told without the user and password in its URL', { timeout: 120_000 }, async () => {
    const { finder, log } = finderOf({
      '.npmrc': `registry=${mirror.origin.replace('//', '//robot:hunter22222@')}/npm/\n`,
    });
    const found = await finder.find([question('npm')]);
    expect(found[0]?.hosts[0]).toBe(mirror.index);
    expect(JSON.stringify([found, log.lines])).not.toContain('hunter22222');
  });
});

describe('what is not found', () => {
  it('fails for a client that is not there, and names it and the setting', async () => {
    const { finder, home } = finderOf({ 'bin/sh': '' });
    const env = { HOME: home, PATH: join(home, 'bin') };
    const bare = createRegistryFinder({ dir: join(home, 'state'), env, log: createTestLog() });
    const failed = await failure(bare.find([question('uv')]));
    expect([failed.type, failed.nonRetryable]).toEqual(['BadInput', true]);
    expect(failed.message).toMatch(
      /uv of the worker's host .*uv is not on the worker's PATH\.\n.*"setup": \{"network": \{"allow"/,
    );
    expect(finder).toBeDefined();
  });

  it.skipIf(!has('go'))('fails for settings that name no host', async () => {
    const { finder } = finderOf({}, { GOPROXY: 'direct', GOSUMDB: 'off' });
    expect((await failure(finder.find([question('go')]))).message).toMatch(/go of .*its settings name no host/);
  });

  it('fails for a registry that has an address for a name, which no allowlist takes', { timeout: 60_000 }, async () => {
    const { finder } = finderOf({}, { npm_config_registry: 'http://127.0.0.1:9/' });
    expect((await failure(finder.find([question('npm')]))).message).toMatch(
      /it names 127\.0\.0\.1:9, which is no host name/,
    );
  });
});

describe('a client', () => {
  /** Says where it is, and writes its environment and folder down. */
  const CLIENT =
    '#!/bin/sh\nenv >> "$HOME/seen"; pwd >> "$HOME/ran"\n[ "$1" = config ] && echo http://npm.example/\nexit 0\n';

  it('gets its own settings and nothing else of the worker', async () => {
    const { finder, home, left } = finderOf(
      { 'bin/npm': CLIENT },
      {
        PATH: `${join(folder.dir, String(count), 'bin')}:/usr/bin:/bin`,
        OPENAI_API_KEY: 'key-of-a-model',
        GOOGLE_API_KEY: 'another-key',
        AGENTSWARM_GIT_TOKEN: 'token-of-git',
        npm_config_fetch_timeout: '1234',
        HTTPS_PROXY: 'http://proxy.example:3128',
      },
    );
    expect(await finder.find([question('npm')])).toMatchObject([{ hosts: ['npm.example'] }]);
    const seen = readFileSync(join(home, 'seen'), 'utf8');
    expect(seen).toContain('npm_config_fetch_timeout=1234');
    expect(seen).not.toMatch(/key-of-a-model|another-key|token-of-git|proxy\.example/);
    expect(readFileSync(join(home, 'ran'), 'utf8')).toContain(`${home}/state/npm`);
    expect(left()).toEqual([]);
  });

  it('is asked once for as long as it answers without a hitch', async () => {
    const { finder, home } = finderOf(
      { 'bin/npm': CLIENT },
      { PATH: `${join(folder.dir, String(count), 'bin')}:/usr/bin:/bin` },
    );
    await Promise.all([finder.find([question('npm')]), finder.find([question('npm')])]);
    await finder.find([question('npm')]);
    expect(readFileSync(join(home, 'ran'), 'utf8').trim().split('\n')).toHaveLength(2);
  });
});

describe('the recorder', () => {
  it('notes nothing that is asked for without its login', async () => {
    const recorder = await openRecorder();
    const { port, username, password } = new URL(recorder.url);
    const ask = async (login?: string) => {
      const path = `${mirror.origin}/npm/isarray`;
      const headers = {
        Host: new URL(path).host,
        ...(login === undefined ? {} : { 'Proxy-Authorization': `Basic ${Buffer.from(login).toString('base64')}` }),
      };
      const [answer] = (await once(get({ host: '127.0.0.1', port, path, headers }), 'response')) as [IncomingMessage];
      answer.resume();
      return answer.statusCode;
    };
    expect([await ask(), await ask(`${username}:wrong`)]).toEqual([407, 407]);
    expect(recorder.asked()).toEqual([]);
    expect(await ask(`${username}:${password}`)).toBe(200);
    expect(recorder.asked().map(({ host, port: to }) => `${host}:${to}`)).toEqual([mirror.index]);
    await recorder.close();
  });
});
