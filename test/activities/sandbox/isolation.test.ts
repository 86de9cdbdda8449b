import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLocalProvider } from '../../../src/activities/sandbox/local/provider.ts';
import { probeIsolation } from '../../../src/activities/sandbox/local/isolation.ts';
import { registrySettings } from '../../../src/activities/sandbox/network/host-registries.ts';
import { findToolchains } from '../../../src/activities/sandbox/local/toolchains.ts';
import { Config } from '../../../src/shared/config/worker-config.ts';
import { createTestLog } from '../../support/log.ts';
import { temporaryFolder } from '../../support/repos.ts';
import { thrownBy } from '../../support/thrown.ts';
import { type TestHost, testHost } from './support.ts';

const CANARY = 'canary-5f1e0c';

describe('a local sandbox', () => {
  let host: TestHost;
  let id: string;
  beforeAll(async () => {
    host = await testHost({
      limits: { memoryMb: 200, processes: 60, fileSizeMb: 5, minFreeDiskMb: 0 },
      env: { ...process.env, OPENAI_API_KEY: CANARY, AGENTSWARM_GIT_TOKEN: CANARY },
    });
    id = await host.open();
    writeFileSync(join(host.folder, 'secret'), CANARY);
  });
  afterAll(() => host.close());
  const inside = async (command: string) => (await host.bash(id, command)).output;

  it("has nothing of the worker's environment, and shows no process but its own", async () => {
    expect(await inside('env')).not.toMatch(/canary|TEMPORAL|OPENAI/i);
    expect(await inside(`CANARY=${CANARY} env`)).toContain(CANARY);
    expect(await inside('cat /proc/*/environ | tr "\\0" "\\n" | sort -u')).not.toContain(CANARY);
    const processes = (await inside('ls /proc | grep -c "^[0-9]"')).trim();
    expect(Number(processes)).toBeLessThan(8);
    expect(await inside(`ls /proc/${process.pid} 2>&1`)).toContain('No such file');
  });

  it('has no home, state or other file of the host', async () => {
    expect(await inside(`cat ${join(host.folder, 'secret')} 2>&1`)).toContain('No such file');
    expect(await inside(`ls -A ${process.env.HOME} 2>&1; ls ${host.stateDir} 2>&1`)).not.toMatch(
      /\.ssh|\.npmrc|\.gitconfig|sandboxes/,
    );
    expect(await inside('id -un; cat /etc/passwd | wc -l; ls -A ~; touch ~/mine && ls -A ~')).toBe('agent\n3\nmine\n');
    expect(await inside('ls /run; ls /run/checkpoint 2>&1')).toContain('cannot access');
  });

  it('cannot write the system, what agents share, or the records of the host', async () => {
    for (const path of ['/usr/x', '/etc/x', '/run/mirror/objects/x', '/run/output/x', '/x', '/opt/x']) {
      expect(await inside(`touch ${path}; test ! -e ${path} || echo WRITTEN`)).toMatch(
        /Read-only file system(?![^]*WRITTEN)/,
      );
    }
  });

  it("has no network, not even the host's loopback", async () => {
    const said = await inside(
      'for at in 1.1.1.1/53 127.0.0.1/22; do timeout 2 bash -c "echo > /dev/tcp/$at" 2>&1; done; cat /proc/net/route | wc -l',
    );
    expect(said).toMatch(/unreachable/);
    expect(said).toMatch(/\n1\n?$/);
  });

  it('follows a link that leads out only to its own view', async () => {
    symlinkSync(join(host.folder, 'secret'), join(host.stateDir, 'sandboxes', id, 'workspace', 'leak'));
    await inside('ln -s /etc/passwd mine');
    const { results } = await host.act(id, 50, [
      { id: '1', name: 'read', arguments: '{"path":"leak"}' },
      { id: '2', name: 'read', arguments: '{"path":"mine"}' },
      { id: '3', name: 'write', arguments: '{"path":"leak","content":"x"}' },
    ]);
    expect(results.map((result) => result.status)).toEqual(['error', 'ok', 'error']);
    expect(results[1]?.output).not.toContain('postgres');
    expect(readFileSync(join(host.folder, 'secret'), 'utf8')).toBe(CANARY);
  });

  it('contains a fork bomb, and is usable afterwards', async () => {
    const bomb = await host.provider.exec(
      id,
      ['/bin/bash', '-c', 'bomb() { bomb | bomb & }; bomb; sleep 2; echo end'],
      {
        timeoutMs: 5_000,
        combine: true,
      },
    );
    expect(bomb.stdout.toString()).toMatch(/Resource temporarily unavailable|retry/);
    expect(await inside('echo alive')).toBe('alive\n');
  });

  it('ends a process that takes too much memory, and refuses files that are too large', async () => {
    expect(await inside('python3 -c "x = b\'x\' * (400 << 20); print(len(x))"; echo code $?')).not.toContain(
      String(400 << 20),
    );
    expect(await inside('head -c 6000000 /dev/zero > big; stat -c %s big')).toContain('5242880');
    await inside('rm big');
  });

  it('kills all that a command started: when it ends, at its timeout, and when it writes without end', async () => {
    const mark = `31${process.pid}`;
    await inside(`setsid sleep ${mark} & nohup sleep ${mark} >/dev/null 2>&1 & disown -a`);
    const late = await host.provider.exec(id, ['/bin/sh', '-c', `setsid sleep ${mark} & sleep ${mark}`], {
      timeoutMs: 300,
    });
    expect(late.reason).toBe('timeout');
    const endless = await host.provider.exec(id, ['/usr/bin/yes'], {
      timeoutMs: 20_000,
      maxBytes: 1_000_000,
      headBytes: 10,
    });
    expect(endless).toMatchObject({ reason: 'output-limit', truncated: true });
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 200);
    const aborted = await host.provider.exec(id, ['/bin/sleep', mark], { timeoutMs: 20_000, signal: stop.signal });
    expect(aborted.reason).toBe('aborted');
    expect(spawnSync('pgrep', ['-f', `sleep ${mark}`]).stdout.toString()).toBe('');
  });

  it("runs the worker's own Node, and the toolchains on its PATH", async () => {
    expect(await inside('node --version')).toBe(`${process.version}\n`);
    expect(await inside('git --version && python3 -c "import ssl; print(1)"')).toMatch(/git version.*\n1\n/);
  });

  it("refuses to write when the host's disk is nearly full", async () => {
    const full = await testHost({ limits: { minFreeDiskMb: 1e9 } });
    try {
      const sandbox = await full.open();
      expect((await full.bash(sandbox, 'echo x > x')).output).toContain('disk is full');
      expect((await full.act(sandbox, 1, [{ id: '1', name: 'ls', arguments: '{}' }])).results[0]?.output).toContain(
        'README.md',
      );
    } finally {
      await full.close();
    }
  });

  it('deletes a sandbox with read-only folders in it', async () => {
    const other = await host.open();
    await host.bash(other, 'mkdir -p ro/deep && touch ro/deep/f && chmod -R a-w ro && chmod 000 ro');
    await host.provider.terminate(other);
    expect(await host.provider.has(other)).toBe(false);
    expect(await thrownBy(host.provider.exec(other, ['/bin/true'], { timeoutMs: 1_000 }))).toMatchObject({
      type: 'SandboxGone',
    });
  });
});

it('bubblewrap works here, and its absence is told with the line that installs it', async () => {
  expect(await probeIsolation()).toMatchObject({ ok: true });
  const folder = temporaryFolder();
  const options = {
    stateDir: folder.dir,
    limits: Config.parse({}).sandbox.limits,
    env: { PATH: '/nonexistent' },
    log: createTestLog(),
  };
  try {
    const thrown = await thrownBy(createLocalProvider({ ...options, unsafe: false }));
    expect(thrown).toMatchObject({ type: 'SandboxUnavailable', nonRetryable: true });
    expect(thrown.message).toContain('apt-get install -y bubblewrap');
    const unsafe = await createLocalProvider({
      ...options,
      env: { PATH: '/nonexistent', SECRET: CANARY },
      unsafe: true,
    });
    expect(unsafe.isolated).toBe(false);
    mkdirSync(join(folder.dir, 'objects'));
    await unsafe.create({ id: 'sb-1', objects: join(folder.dir, 'objects') });
    const ran = await unsafe.exec('sb-1', ['/bin/sh', '-c', 'pwd; env'], { timeoutMs: 5_000 });
    expect(ran.stdout.toString()).toContain(join(folder.dir, 'sandboxes/sb-1/workspace'));
    expect(ran.stdout.toString()).not.toContain(CANARY);
    await unsafe.terminate('sb-1');
  } finally {
    folder.remove();
  }
});

describe('toolchains', () => {
  it('are bound by prefix, never the home or what holds it', () => {
    const folder = temporaryFolder();
    const home = join(folder.dir, 'home');
    const make = (...names: string[]) => names.map((name) => mkdirSync(join(home, name), { recursive: true }));
    make(
      '.nvm/versions/node/v20/bin',
      '.nvm/versions/node/v20/lib',
      'bin',
      'lib',
      '.local/bin',
      '.local/lib',
      '.cargo/bin',
      'go/bin',
    );
    make('.pyenv/shims', '.pyenv/versions/3.12.1/bin', '.pyenv/versions/3.11.0/bin', 'app/node_modules/.bin');
    writeFileSync(join(home, '.pyenv/version'), '3.12.1\n');
    const names = [
      '.nvm/versions/node/v20/bin',
      'bin',
      '.local/bin',
      '.cargo/bin',
      '.pyenv/shims',
      'app/node_modules/.bin',
    ];
    const PATH = [...names.map((name) => join(home, name)), 'relative', '/usr/bin', '/nonexistent'].join(':');
    const { binds, path } = findToolchains({ PATH }, [], home);
    const local = (paths: string[]) =>
      paths.filter((each) => each.startsWith(home)).map((each) => each.slice(home.length + 1));
    expect(local(binds)).toEqual([
      '.nvm/versions/node/v20',
      'bin',
      '.local/bin',
      '.cargo/bin',
      '.pyenv/versions/3.12.1',
    ]);
    expect(local(path)).toEqual([
      '.nvm/versions/node/v20/bin',
      'bin',
      '.local/bin',
      '.cargo/bin',
      '.pyenv/versions/3.12.1/bin',
    ]);
    expect(path).toContain('/usr/bin');
    expect(findToolchains({ PATH: `${home}:${folder.dir}:/` }, [], home).binds).toEqual([]);
    folder.remove();
  });
});

it('registry settings carry URLs and certificates, and never a token, user or password', () => {
  const folder = temporaryFolder();
  const certificate = join(folder.dir, 'ca.pem');
  const withKey = join(folder.dir, 'key.pem');
  writeFileSync(certificate, '-----BEGIN CERTIFICATE-----\nx\n');
  writeFileSync(withKey, `-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n${CANARY}\n`);
  writeFileSync(
    join(folder.dir, '.npmrc'),
    `registry=https://me:${CANARY}@npm.example/\n//npm.example/:_authToken=${CANARY}\n_auth=${CANARY}\n@x:registry=https://x.example/?token=${CANARY}\nemail=${CANARY}\nproxy=http://\${${CANARY}}/\n`,
  );
  mkdirSync(join(folder.dir, '.config/pip'), { recursive: true });
  writeFileSync(
    join(folder.dir, '.config/pip/pip.conf'),
    `[global]\nindex-url = https://u:${CANARY}@pip.example/simple\npassword = ${CANARY}\n`,
  );
  const env = {
    HTTPS_PROXY: `http://u:${CANARY}@proxy:3128`,
    PIP_INDEX_URL: `https://${CANARY}@pip.example/simple`,
    NODE_EXTRA_CA_CERTS: certificate,
    SSL_CERT_FILE: withKey,
    NPM_TOKEN: CANARY,
    npm_config__authToken: CANARY,
    GOPROXY: `https://a:${CANARY}@go.example,direct`,
  };
  const settings = registrySettings(env, folder.dir);
  expect(JSON.stringify(settings)).not.toContain(CANARY);
  expect(settings.npmrc).toEqual(
    expect.arrayContaining(['registry=https://npm.example/', '@x:registry=https://x.example/']),
  );
  expect(settings.pipConf).toContain('index-url = https://pip.example/simple');
  expect(settings.env).toMatchObject({
    HTTPS_PROXY: 'http://proxy:3128',
    PIP_INDEX_URL: 'https://pip.example/simple',
    GOPROXY: 'https://go.example,direct',
  });
  expect(settings.binds).toContainEqual({ from: certificate, to: settings.env.NODE_EXTRA_CA_CERTS });
  expect(settings.env.SSL_CERT_FILE).toBeUndefined();
  folder.remove();
});

it('of the settings of cargo, uv and go come the registries, and no credential', () => {
  const folder = temporaryFolder();
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(folder.dir, path)), { recursive: true });
    writeFileSync(join(folder.dir, path), text);
  };
  put(
    '.cargo/config.toml',
    `[source.crates-io]
replace-with = "company"
[source.company]
registry = "sparse+https://u:${CANARY}@crates.example/index/"
[registries.company]
index = "sparse+https://crates.example/index/"
token = "${CANARY}"
[registry]
token = "${CANARY}"
[build]
rustc-wrapper = "/usr/bin/wrapper"
`,
  );
  put('.config/go/env', `GOPROXY=https://u:${CANARY}@go.example,direct\nGOSUMDB=off\nGOFLAGS=-mod=mod\n`);
  put('.config/uv/uv.toml', '[[index]]\nurl = "https://uv.example/simple"\ndefault = true\n');
  const settings = registrySettings({}, folder.dir);
  expect(settings.cargo).toEqual({
    source: {
      'crates-io': { 'replace-with': 'company' },
      company: { registry: 'sparse+https://crates.example/index/' },
    },
    registries: { company: { index: 'sparse+https://crates.example/index/' } },
  });
  expect(settings.env).toEqual({ GOPROXY: 'https://go.example,direct', GOSUMDB: 'off' });
  expect(settings.uv).toContain('https://uv.example/simple');
  expect(JSON.stringify(settings)).not.toMatch(new RegExp(`${CANARY}|wrapper|mod=mod`));

  put('.config/uv/uv.toml', `index-url = "https://u:${CANARY}@uv.example/simple"\n`);
  expect(registrySettings({ GOPROXY: 'https://own.example' }, folder.dir)).toMatchObject({
    env: { GOPROXY: 'https://own.example', GOSUMDB: 'off' },
  });
  expect(JSON.stringify(registrySettings({}, folder.dir))).not.toContain(CANARY);
  put('.cargo/config.toml', 'not = [toml\n');
  expect(registrySettings({}, folder.dir).cargo).toBeUndefined();
  folder.remove();
});
