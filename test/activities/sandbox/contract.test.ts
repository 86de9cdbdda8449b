/**
 * What every provider of sandboxes promises, over each of them: bubblewrap on this host, Modal's SDK on a double of
 * Modal, and a live account of Modal's when AGENTSWARM_TEST_MODAL=1 and its token is in the environment.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLocalProvider } from '../../../src/activities/sandbox/local/provider.ts';
import { createModalProvider } from '../../../src/activities/sandbox/modal/provider.ts';
import type { ExecOptions, SandboxProvider } from '../../../src/activities/sandbox/provider.ts';
import { Config } from '../../../src/shared/config/worker-config.ts';
import { createTestLog } from '../../support/log.ts';
import { whyNoContainers } from '../../support/modal-double/container.ts';
import { bareRepository, temporaryFolder } from '../../support/repos.ts';
import { thrownBy } from '../../support/thrown.ts';
import { connectTo, modalHost } from './modal/support.ts';

const { limits, modal } = Config.parse({}).sandbox;
const { AGENTSWARM_TEST_MODAL, MODAL_TOKEN_ID, MODAL_TOKEN_SECRET } = process.env;
const hasAccount = AGENTSWARM_TEST_MODAL === '1' && !!MODAL_TOKEN_ID && !!MODAL_TOKEN_SECRET;

type Host = { provider: SandboxProvider; close: () => Promise<void> };
type Subject = { name: string; skip: string | undefined; start: (stateDir: string) => Promise<Host> };

const SUBJECTS: Subject[] = [
  {
    name: 'local',
    skip: undefined,
    async start(stateDir) {
      const provider = await createLocalProvider({ stateDir, limits, unsafe: false, log: createTestLog() });
      return { provider, close: async () => {} };
    },
  },
  {
    name: 'modal, on a double of it',
    skip: whyNoContainers(),
    async start(stateDir) {
      const host = await modalHost();
      return { provider: await host.provider(stateDir), close: host.close };
    },
  },
  {
    name: 'modal, on a live account',
    skip: hasAccount ? undefined : 'AGENTSWARM_TEST_MODAL=1 and a token of Modal are not set',
    async start(stateDir) {
      const owner = `test-${randomUUID()}`;
      const options = { stateDir, owner, config: modal, limits, network: 'none' as const, log: createTestLog() };
      return { provider: await connectTo(undefined, () => createModalProvider(options)), close: async () => {} };
    },
  },
];

const QUICK = { timeoutMs: 30_000 };
/** Says in a file ten times a second that it lives, outside of its parent's session. */
const beater = (file: string) => `(setsid sh -c 'while :; do echo x >> ${file}; sleep 0.1; done' >/dev/null 2>&1 &)`;

describe.each(SUBJECTS.filter(({ skip }) => skip !== undefined))('provider $name ($skip)', () => {
  test.skip('is tried elsewhere', () => {});
});

describe.each(SUBJECTS.filter(({ skip }) => skip === undefined))('provider $name', ({ start }) => {
  let provider: SandboxProvider;
  let objects: string;
  let host: Host;
  let folder: ReturnType<typeof temporaryFolder>;
  const opened: string[] = [];

  beforeAll(async () => {
    folder = temporaryFolder('agentswarm-contract-');
    objects = join(bareRepository(join(folder.dir, 'origin.git'), { a: 'a\n' }).dir, 'objects');
    host = await start(join(folder.dir, 'state'));
    provider = host.provider;
  }, 600_000);
  afterAll(async () => {
    for (const id of opened) await provider.terminate(id);
    await host.close();
    folder.remove();
  });

  async function open(): Promise<string> {
    const id = `sb-${randomUUID()}`;
    opened.push(id);
    await provider.create({ id, objects });
    return id;
  }
  const sh = (id: string, script: string, options: Partial<ExecOptions> = {}) =>
    provider.exec(id, ['/bin/bash', '-c', script], { ...QUICK, ...options });
  const text = async (id: string, script: string, options: Partial<ExecOptions> = {}) =>
    (await sh(id, script, options)).stdout.toString();
  /** Whether a file stays as it is. */
  async function isStill(id: string, file: string): Promise<boolean> {
    const size = () => text(id, `wc -c < ${file}`);
    const before = await size();
    await sleep(400);
    return (await size()) === before;
  }

  test('makes a sandbox that is listed, has an age and an empty work tree', async () => {
    const before = Date.now();
    const id = await open();
    expect(await provider.list()).toContain(id);
    expect(await provider.has(id)).toBe(true);
    expect(await provider.createdAt(id)).toBeGreaterThan(before - 2_000);
    expect(await provider.createdAt(id)).toBeLessThan(Date.now() + 2_000);
    expect(await text(id, 'pwd; ls -A')).toBe(`${provider.paths(id).workspace}\n`);
    await expect(provider.create({ id, objects })).rejects.toThrow();
    expect(await text(id, 'echo still here')).toBe('still here\n');
  });

  test('runs a command as it is given: arguments, folder, environment, exit code, both outputs', async () => {
    const id = await open();
    const { tmp, home } = provider.paths(id);
    const argv = ['/bin/sh', '-c', 'printf "%s|" "$@" "$(pwd)" "$GIVEN" "$HOME" "$WORKER"; echo no >&2; exit 7', 'sh'];
    process.env.WORKER = 'seen';
    const result = await provider.exec(id, [...argv, 'a b', '$(id)', 'ü\n"'], {
      ...QUICK,
      cwd: tmp,
      env: { GIVEN: 'x y' },
    });
    delete process.env.WORKER;
    expect(result.stdout.toString()).toBe(`a b|$(id)|ü\n"|${tmp}|x y|${home}||`);
    expect(result).toMatchObject({ exitCode: 7, reason: 'exit', stderr: 'no\n', truncated: false });
    expect(result.bytes).toBe(result.stdout.length);
  });

  test('keeps files from command to command, and from other sandboxes', async () => {
    const [one, two] = [await open(), await open()];
    const { workspace, tmp, home } = provider.paths(one);
    await sh(one, `for d in ${workspace} ${tmp} ${home}; do echo mine > $d/file; done`);
    expect(await text(one, `cat ${workspace}/file ${tmp}/file ${home}/file`)).toBe('mine\nmine\nmine\n');
    const { workspace: work2, tmp: tmp2, home: home2 } = provider.paths(two);
    expect(await text(two, `cat ${work2}/file ${tmp2}/file ${home2}/file 2>/dev/null; echo end`)).toBe('end\n');
  });

  test('hands over input and output byte by byte', async () => {
    const id = await open();
    const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7 + (i >> 8)) % 256));
    const echoed = await provider.exec(id, ['cat'], { ...QUICK, stdin: bytes });
    expect(echoed.stdout.equals(bytes)).toBe(true);
    expect(await text(id, 'cat; echo end', { stdin: '' })).toBe('end\n');
    expect(await text(id, 'cat; echo end')).toBe('end\n');
    expect(await sh(id, 'exit 3', { stdin: bytes })).toMatchObject({ exitCode: 3, reason: 'exit' });
  });

  test('puts standard error in order among standard output where that is asked for', async () => {
    const id = await open();
    expect(await text(id, 'echo 1; echo 2 >&2; echo 3', { combine: true })).toBe('1\n2\n3\n');
  });

  test('keeps head and tail of a long output, and the whole in a file that the agent cannot change', async () => {
    const id = await open();
    const file = `${provider.paths(id).output}/long.txt`;
    const cut = { headBytes: 1_000, tailBytes: 2_000, outputFile: 'long.txt' };
    const result = await sh(id, 'seq 100000', cut);
    expect(result).toMatchObject({ bytes: 588_895, truncated: true, exitCode: 0 });
    expect(result.stdout.length).toBe(1_000);
    expect(result.stdout.toString()).toMatch(/^1\n2\n3\n/);
    expect(result.tail.length).toBe(2_000);
    expect(result.tail.toString()).toMatch(/\n99999\n100000\n$/);
    expect(await text(id, `wc -c < ${file}; tail -n 1 ${file}`)).toBe('588895\n100000\n');
    expect((await sh(id, `echo x > ${file}; rm -f ${file}; [ -s ${file} ]`)).exitCode).toBe(0);
    const short = await sh(id, 'seq 300', cut);
    expect(short).toMatchObject({ bytes: 1_092, truncated: false });
    expect(short.stdout.length).toBe(1_092);
  });

  test('stops a command that writes too much', async () => {
    const id = await open();
    const result = await sh(id, 'yes', { maxBytes: 3_000_000, headBytes: 10 });
    expect(result).toMatchObject({ reason: 'output-limit', truncated: true });
    expect(result.stdout.toString()).toBe('y\ny\ny\ny\ny\n');
    expect(result.bytes).toBeGreaterThan(3_000_000);
  });

  test('stops a command at its time, with all that it has started, and keeps what it said', async () => {
    const id = await open();
    const file = `${provider.paths(id).workspace}/beats`;
    const script = `${beater(file)}; echo said; while [ ! -s ${file} ]; do sleep 0.05; done; sleep 600`;
    const result = await sh(id, script, { timeoutMs: 2_000 });
    expect(result).toMatchObject({ reason: 'timeout', exitCode: 137 });
    expect(result.stdout.toString()).toBe('said\n');
    expect(await isStill(id, file)).toBe(true);
  });

  test('stops a command that is aborted, with all that it has started', async () => {
    const id = await open();
    const file = `${provider.paths(id).workspace}/beats`;
    const stop = new AbortController();
    const running = sh(id, `${beater(file)}; sleep 600`, { signal: stop.signal });
    while ((await text(id, `cat ${file} 2>/dev/null`)) === '') await sleep(50);
    stop.abort();
    expect(await running).toMatchObject({ reason: 'aborted' });
    expect(await isStill(id, file)).toBe(true);
    const never = await sh(id, `rm ${file}`, { signal: AbortSignal.abort() });
    expect(never.reason).toBe('aborted');
  });

  test('leaves nothing running of a command that has ended', async () => {
    const id = await open();
    const file = `${provider.paths(id).workspace}/beats`;
    const script = `${beater(file)}; (env -i setsid sleep 600 &); while [ ! -s ${file} ]; do sleep 0.05; done; echo done`;
    const result = await sh(id, script);
    expect(result).toMatchObject({ reason: 'exit', exitCode: 0 });
    expect(result.stdout.toString()).toBe('done\n');
    expect(await isStill(id, file)).toBe(true);
  });

  test('tells a signal, a missing program and a missing folder from success', async () => {
    const id = await open();
    expect((await sh(id, 'kill -9 $$')).exitCode).toBe(137);
    const missing = await provider.exec(id, ['/nonexistent/program'], QUICK);
    expect(missing.exitCode).not.toBe(0);
    expect(missing.stderr).toMatch(/No such file|not found/);
    expect((await sh(id, 'true', { cwd: '/nonexistent' })).exitCode).not.toBe(0);
  });

  test('takes arguments up to what Linux takes, and rejects longer ones', async () => {
    const id = await open();
    const long = 'x'.repeat(120_000);
    expect(await text(id, 'true', {})).toBe('');
    const taken = await provider.exec(id, ['/bin/sh', '-c', 'echo ${#1}', 'sh', long], QUICK);
    expect(taken.stdout.toString()).toBe('120000\n');
    const thrown = await thrownBy(provider.exec(id, ['/bin/echo', 'x'.repeat(200_000)], QUICK));
    expect(`${(thrown as { code?: string }).code} ${thrown.message}`).toMatch(/E2BIG|Argument list too long/);
  });

  test('runs several commands at the same time', async () => {
    const id = await open();
    const said = await Promise.all(Array.from({ length: 6 }, (_, i) => text(id, `sleep 0.2; echo ${i}`)));
    expect(said).toEqual(['0\n', '1\n', '2\n', '3\n', '4\n', '5\n']);
  });

  test('keeps the checkpoints’ folder from the agent, and lets it write no object', async () => {
    const id = await open();
    const { git, objects: inside } = provider.paths(id);
    expect((await sh(id, `echo x > ${git}/kept`, { git: true })).exitCode).toBe(0);
    expect(await text(id, `cat ${git}/kept`, { git: true })).toBe('x\n');
    expect(await text(id, `cat ${git}/kept 2>/dev/null; ls ${git} 2>/dev/null; echo end`)).toBe('end\n');
    expect((await sh(id, `: > ${inside}/mine`)).exitCode).not.toBe(0);
  });

  test('has no network', async () => {
    const id = await open();
    const server = createServer((socket) => socket.end('reached')).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const reach = `for at in 127.0.0.1/${port} 1.1.1.1/443; do (exec 3<>/dev/tcp/$at) 2>/dev/null && echo $at; done; echo end`;
    expect(await text(id, reach)).toBe('end\n');
    server.close();
  });

  test('keeps what a sandbox has made for others, which see it only where they are meant to', async () => {
    const id = `setup-${randomUUID()}`;
    await provider.create({ id, objects });
    const { workspace, home, setup } = provider.paths(id);
    await sh(
      id,
      `mkdir -p ${workspace}/deps && echo made > ${workspace}/deps/file && chmod 750 ${workspace}/deps && echo h > ${home}/h`,
    );
    const kept = join(folder.dir, 'state', 'setup', randomUUID());
    await provider.archive(id, kept);
    expect(await provider.has(id)).toBe(false);
    expect(await provider.list()).not.toContain(id);
    const other = await open();
    const look = `cat ${setup}/workspace/deps/file ${setup}/home/h 2>/dev/null; stat -c %a ${setup}/workspace/deps 2>/dev/null; echo end`;
    expect(await text(other, look, { setup: kept })).toBe('made\nh\n750\nend\n');
    expect(await text(other, look)).toBe('end\n');
  });

  test('ends a sandbox for good, with what runs in it', async () => {
    const id = await open();
    const running = sh(id, 'echo up; sleep 600').then(
      ({ reason }) => reason,
      (error: { type?: string }) => error.type,
    );
    await sleep(300);
    await provider.terminate(id);
    expect(['aborted', 'SandboxGone']).toContain(await running);
    expect(await provider.has(id)).toBe(false);
    expect(await provider.list()).not.toContain(id);
    expect(await thrownBy(sh(id, 'true'))).toMatchObject({ type: 'SandboxGone', nonRetryable: true });
    await provider.terminate(id);
  });

  test('says of a sandbox that was never there that it is gone', async () => {
    const id = `sb-${randomUUID()}`;
    expect(await provider.has(id)).toBe(false);
    expect(await thrownBy(sh(id, 'true'))).toMatchObject({ type: 'SandboxGone' });
    await provider.terminate(id);
    expect(() => provider.recordDir('../x')).toThrow(/no sandbox id/);
  });
});
