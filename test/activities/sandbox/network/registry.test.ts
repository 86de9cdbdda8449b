import { existsSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createMirrors } from '../../../../src/activities/git/mirrors.ts';
import { createSetups } from '../../../../src/activities/sandbox/setup.ts';
import type { Registry } from '../../../../src/shared/contracts/network.ts';
import { canariesBelow, canariesIn, canary } from '../../../support/canaries.ts';
import { bareRepository } from '../../../support/repos.ts';
import { runContext } from '../../../support/run-context.ts';
import { thrownBy } from '../../../support/thrown.ts';
import { type NetworkHost, networkHost } from './host.ts';
import { registryServer } from './registry-server.ts';

const TOKEN = canary('registry-token');
const PASSWORD = canary('registry-password');
const LOCAL = 'http://127.0.0.1:3129';
const has = (program: string) =>
  (process.env.PATH ?? '').split(':').some((folder) => existsSync(`${folder}/${program}`));

describe('a private registry', () => {
  let server: Awaited<ReturnType<typeof registryServer>>;
  let host: NetworkHost;
  const basic = `Basic ${Buffer.from(`robot:${PASSWORD.value}`).toString('base64')}`;
  beforeAll(async () => {
    server = await registryServer({
      team: `Bearer ${TOKEN.value}`,
      pip: basic,
      cargo: TOKEN.value,
      go: basic,
    });
    const trusted = [`${server.origin}/`];
    host = await networkHost({
      env: { TOKEN_VARIABLE: TOKEN.value, LOGIN_VARIABLE: `robot:${PASSWORD.value}`, EMPTY_VARIABLE: '' },
      registryTokens: { TOKEN_VARIABLE: trusted, LOGIN_VARIABLE: trusted, EMPTY_VARIABLE: trusted },
      ca: server.ca,
    });
  });
  afterAll(async () => {
    server.close();
    await host.close();
  });
  afterEach(() => {
    server.requests.length = 0;
  });
  const registry = (path: string, tokenEnv = 'TOKEN_VARIABLE', more: Partial<Registry> = {}): Registry => ({
    url: `${server.origin}${path}`,
    tokenEnv,
    ...more,
  });
  const inSetup = async (command: string, registries: Registry[], network: 'none' | { allow: string[] } = 'none') =>
    await host.bash(await host.create('setup'), command, { registries, network });
  /** Neither in the output, nor on disk, nor in the log. */
  const leaks = (output: string) => [
    ...canariesIn(output, [TOKEN, PASSWORD]),
    ...canariesBelow(host.stateDir, [TOKEN, PASSWORD]),
    ...canariesIn(JSON.stringify(host.log.lines), [TOKEN, PASSWORD]),
  ];

  it('gives npm a package and its lockfile, from a lockfile with its own URLs too', { timeout: 120_000 }, async () => {
    const { output } = await inSetup(
      `echo '{"name":"app","version":"1.0.0","dependencies":{"dep":"1.0.0"}}' > package.json
       npm install --no-progress && node -p 'require("dep")' && rm -rf node_modules
       node -e '
         const lock = JSON.parse(fs.readFileSync("package-lock.json"));
         lock.packages["node_modules/dep"].resolved = "${server.origin}/team/dep/-/dep-1.0.0.tgz";
         fs.writeFileSync("package-lock.json", JSON.stringify(lock))'
       npm cache clean --force 2>/dev/null; npm ci --no-progress && node -p 'require("dep")'`,
      [registry('/team/')],
    );
    expect(output.match(/from npm/g)).toHaveLength(2);
    expect(new Set(server.requests.map(({ authorization }) => authorization))).toEqual(
      new Set([`Bearer ${TOKEN.value}`]),
    );
    expect(leaks(output)).toEqual([]);
  });

  it("of an npm scope goes before the project's own .npmrc, and leaves others alone", {
    timeout: 120_000,
  }, async () => {
    const { output } = await inSetup(
      `printf '@acme:registry=${server.origin}/team/\\nregistry=https://registry.example/\\n' > .npmrc
       npm config get @acme:registry; npm config get registry; npm view @acme/gone 2>&1 | head -3`,
      [registry('/team/', 'TOKEN_VARIABLE', { scope: '@acme' })],
    );
    expect(output).toMatch(new RegExp(`^${LOCAL}/team/\nhttps://registry.example/\n`));
    expect(server.requests).toMatchObject([{ url: '/team/@acme%2fgone', authorization: `Bearer ${TOKEN.value}` }]);
  });

  it('gives pip a wheel, whose link has its own URL', { timeout: 120_000 }, async () => {
    const { output } = await inSetup(
      'python3 -m pip install --target lib --no-cache-dir --no-input --disable-pip-version-check tiny-wheel && PYTHONPATH=lib python3 -c "import tiny_wheel; print(tiny_wheel.said)"',
      [registry('/pip/simple/', 'LOGIN_VARIABLE')],
    );
    expect(output).toContain('from pip\n');
    expect(server.requests.map(({ url }) => url)).toContain('/pip/simple/files/tiny_wheel-1.0-py3-none-any.whl');
    expect(leaks(output)).toEqual([]);
  });

  it.skipIf(!has('cargo'))(
    'gives cargo a crate, also by a lockfile with its own URL',
    { timeout: 120_000 },
    async () => {
      const { output } = await inSetup(
        `mkdir src .cargo && echo 'fn main() {}' > src/main.rs
       printf '[registries.acme]\\nindex = "sparse+${server.origin}/cargo/index/"\\n' > .cargo/config.toml
       printf '[package]\\nname = "app"\\nversion = "1.0.0"\\nedition = "2021"\\n[dependencies]\\ntinycrate = { version = "1", registry = "acme" }\\n' > Cargo.toml
       cargo fetch && grep -c 'sparse+${server.origin}/cargo/index/' Cargo.lock && rm -rf ~/.cargo && cargo fetch --locked && cat ~/.cargo/registry/src/*/tinycrate-1.0.0/src/lib.rs`,
        [registry('/cargo/index/')],
      );
      expect(output).toContain('"from cargo"');
      expect(server.requests.filter(({ url }) => url === '/cargo/index/dl/tinycrate/1.0.0')).toHaveLength(2);
      expect(leaks(output)).toEqual([]);
    },
  );

  it.skipIf(!has('go'))('gives go a module', { timeout: 120_000 }, async () => {
    const { output } = await inSetup(
      `printf 'module app\\n\\ngo 1.21\\n\\nrequire private.test/tiny v1.0.0\\n' > go.mod
       GONOSUMDB='*' GOFLAGS=-mod=mod go mod download -x private.test/tiny 2>&1; cat ~/go/pkg/mod/private.test/tiny@v1.0.0/tiny.go`,
      [registry('/go/', 'LOGIN_VARIABLE')],
    );
    expect(output).toContain('const Said = "from go"');
    expect(server.requests.map(({ url }) => url)).toContain('/go/private.test/tiny/@v/v1.0.0.zip');
  });

  it('never shows its token: not in the environment, processes, files, answers that repeat it, or the log', async () => {
    const { output } = await inSetup(
      `env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; find /run/network /home/agent /tmp /etc -type f -exec cat {} +
       curl -sSi ${LOCAL}/team/echo; curl -sSi -H 'Accept-Encoding: gzip' ${LOCAL}/team/echo?again; curl -sS ${LOCAL}/team/nothing
       curl -sSi http://127.0.0.1:3130/pip/simple/echo`,
      [registry('/team/'), registry('/pip/simple/', 'LOGIN_VARIABLE')],
    );
    expect(output).toContain('[redacted]');
    expect(output.match(/"you":/g)).toHaveLength(3);
    expect(output.toLowerCase()).not.toContain('set-cookie');
    expect(leaks(output)).toEqual([]);
    expect(server.requests).toHaveLength(4);
  });

  it('is asked for nothing outside of its URL, in no notation, and by GET and HEAD only', async () => {
    const paths = [
      ...['/', '/admin', '/teamx', '/team/../admin', '/team/..', '/team/%2e%2e/admin', '/team/%2E%2E%2fadmin'],
      ...['/team/%252e%252e%252fadmin', '/team/%25252e%25252e%25252fadmin', '/team/..%5cadmin', '/team/..;/admin'],
      ...['/team/.%2e/admin', '/team//../admin', '/team/%00', '/team/-/npm/v1/tokens', '/team//-/whoami', '/TEAM/dep'],
    ];
    const asked = paths.map((path) => `curl -s -o /dev/null -w '%{http_code} ' --path-as-is '${LOCAL}${path}'`);
    const methods = ['PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'].map(
      (method) => `curl -s -o /dev/null -w '%{http_code} ' -X ${method} ${LOCAL}/team/dep`,
    );
    const others = [
      `curl -s -o /dev/null -w '%{http_code} ' -H 'Host: registry.test' ${LOCAL}/team/dep`,
      `curl -s -o /dev/null -w '%{http_code} ' -H 'Host: 127.0.0.1:3128' ${LOCAL}/team/dep`,
      `curl -s -o /dev/null -w '%{http_code} ' -x http://127.0.0.1:3128 ${server.origin}/team/dep`,
      `curl -s -o /dev/null -w '%{http_code} ' -H 'Content-Length: 4' -H 'Transfer-Encoding: chunked' ${LOCAL}/team/dep`,
    ];
    const { output } = await inSetup([...asked, ...methods, ...others].join('\n'), [registry('/team/')]);
    const codes = output.trim().split(' ');
    expect(codes).toHaveLength(paths.length + methods.length + others.length);
    // 000: curl was told 403 by CONNECT.
    expect(codes.filter((code) => !/^(?:4\d\d|000)$/.test(code))).toEqual([]);
    expect(server.requests).toEqual([]);
  });

  it('hands redirects back: its own as local ones, others without the token, to be checked', async () => {
    const { output, refused } = await inSetup(
      `curl -sSi ${LOCAL}/team/out; curl -sSL ${LOCAL}/team/out; curl -sSi ${LOCAL}/team/in; curl -sSL ${LOCAL}/team/in`,
      [registry('/team/')],
      { allow: ['other.test'] },
    );
    expect(output).toContain('Location: https://cdn.test/file?signed=1\r\n');
    expect(output).toContain(`Location: ${LOCAL}/team/dep\r\n`);
    expect(output).toContain(`"tarball":"${LOCAL}/team/dep/-/dep-1.0.0.tgz"`);
    expect(refused).toEqual([
      expect.stringContaining("cdn.test port 443 is not on this run's allowlist (setup.network.allow)"),
    ]);
    expect(server.requests.map(({ url }) => url)).toEqual([
      '/team/out',
      '/team/out',
      '/team/in',
      '/team/in',
      '/team/dep',
    ]);
  });

  it('is not opened with a token that the worker does not trust to it, or does not have', async () => {
    const id = await host.create('setup');
    const opening = (given: Registry) => thrownBy(host.bash(id, 'true', { registries: [given] }));
    const untrusted = await opening({ url: 'https://elsewhere.test/', tokenEnv: 'TOKEN_VARIABLE' });
    expect(untrusted).toMatchObject({ type: 'SetupFailed', nonRetryable: true });
    expect(untrusted.message).toContain("registryTokens: { TOKEN_VARIABLE: ['https://elsewhere.test/'] }");
    expect((await opening(registry('/team/', 'HOME'))).message).toContain('does not trust this URL');
    expect((await opening(registry('/team/', 'EMPTY_VARIABLE'))).message).toContain('has no variable EMPTY_VARIABLE');
    expect((await opening({ url: 'https://registry.test/', tokenEnv: 'TOKEN_VARIABLE' })).message).toContain('trust');
    expect(server.requests).toEqual([]);
  });

  it('that shows a certificate which the worker does not know gets no token', async () => {
    const stranger = await networkHost({
      env: { TOKEN_VARIABLE: TOKEN.value },
      registryTokens: { TOKEN_VARIABLE: [`${server.origin}/`] },
    });
    try {
      const { output } = await stranger.bash(await stranger.create('setup'), `curl -sS ${LOCAL}/team/dep`, {
        registries: [registry('/team/')],
      });
      expect(output).toMatch(/registry\.test port \d+ is allowed, but could not be reached: .*CERT/);
      expect(server.requests).toEqual([]);
    } finally {
      await stranger.close();
    }
  });

  it('serves setup, which is told of what was refused when it fails, and is keyed by its registries', async () => {
    const origin = bareRepository(`${host.stateDir}/origin.git`, { 'a.txt': 'a\n' });
    const mirrors = createMirrors({ dir: `${host.stateDir}/mirrors`, log: host.log });
    const mirror = await mirrors.open(runContext(origin.dir, origin.tip()).repo);
    const tip = await mirror.fetchBranch('main');
    const setups = createSetups({ provider: host.provider, stateDir: host.stateDir, log: host.log });
    const setup = {
      command: `curl -sSf ${LOCAL}/team/dep > dep.json && curl -sSf https://missing.test/`,
      keyFiles: [],
      network: { allow: ['other.test'] },
      registries: [registry('/team/')],
      timeoutMinutes: 1,
    };
    const { signal } = new AbortController();
    const failed = await thrownBy(setups.ensure(setup, mirror, tip, signal));
    expect(failed.message).toContain("missing.test port 443 is not on this run's allowlist (setup.network.allow)");
    const command = `curl -sSf ${LOCAL}/team/dep > dep.json`;
    const first = await setups.ensure({ ...setup, command }, mirror, tip, signal);
    const other = await setups.ensure({ ...setup, command, registries: [registry('/')] }, mirror, tip, signal);
    expect(first.exclude).toEqual(['/dep.json']);
    expect(readFileSync(`${first.folder}/workspace/dep.json`, 'utf8')).toContain(`${LOCAL}/team/dep/-/dep-1.0.0.tgz`);
    expect(other.folder).not.toBe(first.folder);
    expect(leaks(failed.message)).toEqual([]);
  });
});
