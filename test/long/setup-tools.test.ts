/**
 * `"setup": "auto"` with the real tools and registries: found by its files, run through the proxy with the hosts that
 * detection names, given to a sandbox that uses what was installed without network, and taken from the cache by a
 * worker that reaches nothing. What this machine lacks is skipped, and counted as skipped.
 */
import { spawnSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { check, type Play, step, write } from '../../examples/scripted-model/steps.ts';
import { readRootFiles } from '../../src/activities/run/root-files.ts';
import { checkOut } from '../../src/activities/sandbox/checkpoints/checkout.ts';
import { createAddressRules } from '../../src/activities/sandbox/network/addresses.ts';
import { createLocalProvider } from '../../src/activities/sandbox/local/provider.ts';
import type { SandboxProvider } from '../../src/activities/sandbox/provider.ts';
import { createRegistryFinder } from '../../src/activities/sandbox/registries/find.ts';
import { createSetups } from '../../src/activities/sandbox/setup.ts';
import { Config } from '../../src/shared/config/worker-config.ts';
import { completeSetup, detectSetup, registriesToFind } from '../../src/shared/sandbox/detect-setup.ts';
import type { RegistryQuestion } from '../../src/shared/sandbox/registries.ts';
import { testHost } from '../activities/sandbox/support.ts';
import { fileOn } from '../support/branches.ts';
import { createTestLog } from '../support/log.ts';
import { temporaryFolder } from '../support/repos.ts';
import { planned, type Scenario, scenarioScript } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

type Case = {
  name: string;
  /** The program that must be on the PATH, as seen with the tools of this test. */
  program: string;
  files: Readonly<Record<string, string>>;
  /** Writes these on the host, by the tool itself. */
  lock?: { argv: readonly string[]; files: readonly string[] };
  detected: RegExp;
  /** Says `works` only by means of what was installed. */
  use: string;
};

const NPM = { use: `node -p "require('is-odd')(3) && 'works'"` };
const manifest = (more: object = {}) =>
  JSON.stringify({ name: 'x', version: '1.0.0', private: true, dependencies: { 'is-odd': '3.0.1' }, ...more });
const PYTHON = {
  use: `.venv/bin/python -c 'import six; print("works", six.__version__)'`,
};

const CASES: Case[] = [
  {
    ...NPM,
    name: 'npm',
    program: 'npm',
    files: { 'package.json': manifest() },
    lock: { argv: ['npm', 'install', '--package-lock-only'], files: ['package-lock.json'] },
    detected: /^npm ci/,
  },
  {
    ...NPM,
    name: 'pnpm',
    program: 'pnpm',
    files: { 'package.json': manifest() },
    lock: { argv: ['pnpm', 'install', '--lockfile-only'], files: ['pnpm-lock.yaml'] },
    detected: /^pnpm install --frozen-lockfile/,
  },
  {
    ...NPM,
    name: 'yarn 1',
    program: 'yarn',
    files: { 'package.json': manifest() },
    lock: { argv: ['yarn', 'install', '--non-interactive'], files: ['yarn.lock'] },
    detected: /^yarn install --frozen-lockfile/,
  },
  {
    ...PYTHON,
    name: 'uv',
    program: 'uv',
    files: {
      'pyproject.toml':
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["six==1.16.0"]\n',
    },
    lock: { argv: ['uv', 'lock'], files: ['uv.lock'] },
    detected: /^uv sync --frozen/,
  },
  {
    ...PYTHON,
    name: 'pip',
    program: 'python3',
    files: { 'requirements.txt': 'six==1.16.0\n' },
    detected: /^python3 -m venv/,
  },
  {
    name: 'cargo',
    program: 'cargo',
    files: {
      'Cargo.toml': '[package]\nname = "x"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nitoa = "=1.0.11"\n',
      'src/main.rs': 'fn main() { println!("works {}", itoa::Buffer::new().format(1)); }\n',
      '.gitignore': 'target/\n',
    },
    lock: { argv: ['cargo', 'generate-lockfile'], files: ['Cargo.lock'] },
    detected: /^cargo fetch --locked/,
    use: 'cargo run --quiet --offline',
  },
  {
    name: 'go',
    program: 'go',
    files: {
      'go.mod': 'module example.com/x\n\ngo 1.21\n\nrequire github.com/google/uuid v1.6.0\n',
      'main.go':
        'package main\n\nimport (\n\t"fmt"\n\n\t"github.com/google/uuid"\n)\n\nfunc main() { fmt.Println("works", uuid.Nil) }\n',
    },
    lock: { argv: ['go', 'mod', 'tidy'], files: ['go.mod', 'go.sum'] },
    detected: /^go mod download/,
    use: 'GOPROXY=off go run .',
  },
];

const never = new AbortController().signal;
const folder = temporaryFolder('agentswarm-setup-tools-');
/** Not below /tmp: sandboxes have one of their own over it. */
const cache = join(homedir(), '.cache');
mkdirSync(cache, { recursive: true });
const tools = mkdtempSync(join(cache, 'agentswarm-test-tools-'));
/** As a worker of this machine would have it, with the tools of this test. */
const env: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: [`${tools}/bin`, `${tools}/uv/bin`, dirname(process.execPath), process.env.PATH].join(':'),
  XDG_CACHE_HOME: join(folder.dir, 'cache'),
};

function run(argv: readonly string[], cwd: string): void {
  const [file = '', ...args] = argv;
  const ran = spawnSync(file, args, { cwd, env, encoding: 'utf8', timeout: 180_000 });
  if (ran.status === 0) return;
  throw new Error(`${argv.join(' ')} ended with ${ran.status}: ${ran.error ?? ''}\n${ran.stdout}\n${ran.stderr}`);
}

/** The registries' addresses that are not public: those of a mirror, which the owner of this machine trusts. */
async function mirrors(hosts: readonly string[]): Promise<string[]> {
  const rules = createAddressRules([]);
  const found = await Promise.all(
    hosts.map((host) => lookup(host.replace(/:\d+$/, ''), { all: true }).catch(() => [])),
  );
  return found
    .flat()
    .map(({ address }) => address)
    .filter((address) => rules.refusal(address) !== undefined);
}

const finder = createRegistryFinder({ dir: join(folder.dir, 'registries'), env, log: createTestLog() });

/** Whether this machine's client names its registry, and installs from there. */
const answers = async (question: RegistryQuestion): Promise<boolean> =>
  await finder.find([question]).then(
    ([found]) => found?.incomplete === undefined,
    () => false,
  );

beforeAll(async () => {
  if (!(await answers({ registry: 'npm', client: 'npm' }))) return;
  run(['npm', 'install', '--global', '--prefix', tools, 'pnpm@10', 'yarn@1'], folder.dir);
  if (!(await answers({ registry: 'pypi', client: 'pip' }))) return;
  run(['python3', '-m', 'venv', join(tools, 'uv')], folder.dir);
  run([join(tools, 'uv/bin/pip'), 'install', '--quiet', 'uv'], folder.dir);
}, 300_000);
afterAll(() => {
  folder.remove();
  rmSync(tools, { recursive: true });
});

/** A worker on the state folder. @param hosts whose names lead somewhere; none: nothing is reached by any name. */
async function worker(stateDir: string, hosts: readonly string[]): Promise<SandboxProvider> {
  const nowhere = () => Promise.reject(new Error('this worker reaches nothing'));
  return await createLocalProvider({
    stateDir,
    limits: Config.parse({}).sandbox.limits,
    unsafe: false,
    env,
    log: createTestLog(),
    network: {
      network: 'none',
      privateAddresses: await mirrors(hosts),
      registryTokens: {},
      ...(hosts.length === 0 ? { resolve: nowhere } : {}),
    },
  });
}

/** The files, with those that the tool writes. */
function locked(name: string, { files, lock }: Case): Record<string, string> {
  const dir = join(folder.dir, name.replace(' ', '-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  if (lock === undefined) return { ...files };
  run(lock.argv, dir);
  const made = Object.fromEntries(lock.files.map((path) => [path, readFileSync(join(dir, path), 'utf8')]));
  rmSync(dir, { recursive: true });
  return { ...files, ...made };
}

describe('setup, detected, by', () => {
  test.for(CASES)('$name', { timeout: 300_000 }, async (tool, { skip }) => {
    const { name, program, detected, use } = tool;
    if (spawnSync('/bin/sh', ['-c', `command -v ${program}`], { env }).status !== 0) skip(`no ${program} is here`);
    const names = new Set([...Object.keys(tool.files), ...(tool.lock?.files ?? [])]);
    for (const question of registriesToFind({ timeoutMinutes: 5 }, detectSetup({ names, texts: tool.files })))
      if (!(await answers(question))) skip(`${question.client} does not get packages on this machine`);
    const files = locked(name, tool);
    const stateDir = join(folder.dir, `state-${name.replace(' ', '-')}`);
    const host = await testHost({ files });
    const mirror = await host.mirrors.open(host.run.repo);
    const tip = await mirror.fetchBranch('main');
    const found = detectSetup(await readRootFiles(mirror, tip));
    const questions = registriesToFind({ timeoutMinutes: 5 }, found);
    expect(questions).toHaveLength(1);
    const setup = completeSetup({ timeoutMinutes: 5 }, found, await finder.find(questions));
    expect(setup?.command).toMatch(detected);
    if (setup === null || typeof setup.network === 'string') throw new Error('it has no list of hosts');
    const hosts = setup.network.allow;
    expect(hosts.length).toBeGreaterThan(0);

    const first = await worker(stateDir, hosts);
    const made = await createSetups({ provider: first, stateDir, log: host.log }).ensure(setup, mirror, tip, never);
    const begun = () => host.log.lines.filter(({ message }) => message === 'setup begins').length;
    expect(begun()).toBe(1);

    const provider = await worker(stateDir, []);
    const setups = createSetups({ provider, stateDir, log: host.log });
    const again = await setups.ensure(setup, mirror, tip, never);
    expect(again).toEqual(made);
    expect(begun()).toBe(1);
    for (const id of ['sb-1', 'sb-2']) {
      await provider.create({ id, objects: join(mirror.dir, 'objects') });
      const bash = async (command: string) => {
        const ran = await provider.exec(id, ['/bin/bash', '-c', command], { timeoutMs: 120_000, combine: true });
        return `${ran.stdout.toString()}${ran.stderr}`;
      };
      await checkOut({ provider, mirror, id, start: { base: tip, commit: tip }, exclude: again.exclude });
      expect(await bash(use)).not.toMatch(/^works/m);
      await setups.install(again, id, never);
      expect(await bash(use)).toMatch(/^works/m);
      expect(await bash('git status --porcelain')).toBe('');
    }
    for (const id of await provider.list()) await provider.terminate(id);
    expect(existsSync(made.folder)).toBe(true);
    await host.close();
  });
});

const LANDED = CASES.filter(({ name }) => ['cargo', 'uv', 'go'].includes(name));

/** Its check is what was installed, in a sandbox without network. */
const scenarioOf = ({ name, use }: Case): Scenario => {
  const works = `${use} | grep -q '^works'`;
  const play: Play = {
    steps: [step('I write.', write('NOTES.md', `${name} works\n`)), check('Does what was installed work?', works)],
    handoff: { status: 'complete', summary: 'Written.' },
  };
  const task = planned(`notes-${name}`, { acceptance: [{ text: 'What was installed works.', command: works }] });
  return { plan: () => ({ tasks: [task], done: true }), tasks: { [task.id]: () => play } };
};

describe('a repository without a host in its settings, by', () => {
  const questions = (['cargo', 'uv', 'go'] as const).map((client) => ({
    registry: client === 'uv' ? ('pypi' as const) : client,
    client,
  }));
  const swarm = useSwarm(async () => {
    const found = await Promise.allSettled(questions.map((question) => finder.find([question])));
    const hosts = found.flatMap((end) => (end.status === 'fulfilled' ? end.value.flatMap((each) => each.hosts) : []));
    return {
      script: scenarioScript(Object.fromEntries(LANDED.map((tool) => [tool.name, scenarioOf(tool)]))),
      env,
      config: { sandbox: { privateAddresses: await mirrors(hosts) } },
    };
  });

  test.for(LANDED)('$name, lands', { timeout: 300_000 }, async (tool, { skip }) => {
    const { name } = tool;
    for (const question of questions.filter(({ client }) => client === name))
      if (!(await answers(question))) skip(`${name} does not get packages on this machine`);
    const files = { ...locked(`landed-${name}`, tool), 'agentswarm.json': '{ "setup": "auto" }\n' };
    const { report, origin } = await swarm.runScenario(`landed-${name}`, name, { files });
    expect(report.status).toBe('complete');
    expect(fileOn(origin.dir, 'main', 'NOTES.md')).toBe(`${name} works\n`);
    const [found] = await finder.find(questions.filter(({ client }) => client === name));
    expect(found?.hosts.every((host) => report.notes.some((note) => note.includes(host)))).toBe(true);
  });
});
