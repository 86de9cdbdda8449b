import { describe, expect, test } from 'vitest';
import {
  completeSetup,
  type DetectedSetup,
  detectSetup,
  registriesToFind,
  setupNote,
} from '../../../src/shared/sandbox/detect-setup.ts';
import type { FoundRegistry } from '../../../src/shared/sandbox/registries.ts';
import { RunSettingsInput, type SetupFields } from '../../../src/shared/contracts/run-settings.ts';

/** Names, or names with their text. */
const at = (files: Readonly<Record<string, string>>): DetectedSetup | null =>
  detectSetup({ names: new Set(Object.keys(files)), texts: files });

const VENV = 'python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check';
const NPM = 'npm ci --no-audit --no-fund';
const PNPM = 'pnpm install --frozen-lockfile --store-dir "$TMPDIR/pnpm-store"';

/** What is at the root, what is run, and the key files. */
const DETECTED: readonly [string, Record<string, string>, string, string[]][] = [
  ['npm', { 'package.json': '{}', 'package-lock.json': '' }, NPM, ['package.json', 'package-lock.json']],
  ['npm, published', { 'package.json': '{}', 'npm-shrinkwrap.json': '' }, NPM, ['package.json', 'npm-shrinkwrap.json']],
  [
    'npm with a registry of its own',
    { 'package.json': '{}', 'package-lock.json': '', '.npmrc': '' },
    NPM,
    ['package.json', 'package-lock.json', '.npmrc'],
  ],
  [
    'pnpm with workspaces',
    { 'package.json': '{}', 'pnpm-lock.yaml': '', 'pnpm-workspace.yaml': '' },
    PNPM,
    ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml'],
  ],
  [
    'yarn 1',
    { 'package.json': '{}', 'yarn.lock': '' },
    'yarn install --frozen-lockfile',
    ['package.json', 'yarn.lock'],
  ],
  [
    'yarn 4, by its settings',
    { 'package.json': '{}', 'yarn.lock': '', '.yarnrc.yml': '' },
    'yarn install --immutable',
    ['package.json', 'yarn.lock', '.yarnrc.yml'],
  ],
  [
    'yarn 4, by packageManager',
    { 'package.json': '{"packageManager": "yarn@4.1.0"}', 'yarn.lock': '' },
    'yarn install --immutable',
    ['package.json', 'yarn.lock'],
  ],
  [
    'two lockfiles, of which packageManager names one',
    { 'package.json': '{"packageManager":"npm@11.0.0"}', 'package-lock.json': '', 'pnpm-lock.yaml': '' },
    NPM,
    ['package.json', 'package-lock.json'],
  ],
  [
    'two lockfiles and nothing that names one',
    { 'package.json': '{}', 'package-lock.json': '', 'pnpm-lock.yaml': '' },
    PNPM,
    ['package.json', 'pnpm-lock.yaml'],
  ],
  ['uv', { 'pyproject.toml': '[project]', 'uv.lock': '' }, 'uv sync --frozen', ['pyproject.toml', 'uv.lock']],
  ['pip', { 'requirements.txt': '' }, `${VENV} -r requirements.txt`, ['requirements.txt']],
  [
    'pip with what tests need, before pyproject.toml',
    { 'requirements.txt': '', 'requirements-dev.txt': '', 'requirements-gpu.txt': '', 'pyproject.toml': '[project]' },
    `${VENV} -r requirements-dev.txt -r requirements.txt`,
    ['requirements-dev.txt', 'requirements.txt'],
  ],
  ['a Python project', { 'pyproject.toml': '[build-system]\nrequires = []\n' }, `${VENV} -e .`, ['pyproject.toml']],
  [
    'a Python project with extras for tests',
    {
      'pyproject.toml':
        '[project]\nname = "x"\n\n[project.optional-dependencies]\ntest = ["pytest"]\ngpu = [\n  "torch",\n]\ndev = []\n\n[tool.x]\ntests = 1\n',
    },
    `${VENV} -e '.[dev,test]'`,
    ['pyproject.toml'],
  ],
  ['cargo', { 'Cargo.toml': '', 'Cargo.lock': '' }, 'cargo fetch --locked', ['Cargo.toml', 'Cargo.lock']],
  ['cargo without a lockfile', { 'Cargo.toml': '' }, 'cargo fetch', ['Cargo.toml']],
  ['go', { 'go.mod': 'module x\n\nrequire a/b v1.0.0\n', 'go.sum': '' }, 'go mod download', ['go.mod', 'go.sum']],
  [
    'npm and pip together',
    { 'package.json': '{}', 'package-lock.json': '', 'requirements.txt': '' },
    `${NPM} && ${VENV} -r requirements.txt`,
    ['package.json', 'package-lock.json', 'requirements.txt'],
  ],
];

const NOT_DETECTED: readonly [string, Record<string, string>][] = [
  ['an empty repository', {}],
  ['a lockfile without its manifest', { 'package-lock.json': '' }],
  ['a manifest without a lockfile', { 'package.json': '{"dependencies":{"a":"1"}}' }],
  ['a pyproject.toml with settings of tools only', { 'pyproject.toml': '[tool.ruff]\nline-length = 100\n' }],
  ['a Go module without dependencies', { 'go.mod': 'module x\n\ngo 1.22\n' }],
  ['vendored Go modules', { 'go.mod': 'require a/b v1.0.0\n', vendor: '' }],
];

describe('detection of setup', () => {
  test.each(DETECTED)('%s', (_what, files, command, keyFiles) => {
    expect(at(files)).toMatchObject({ command, keyFiles });
  });

  test.each(NOT_DETECTED)('finds nothing in %s', (_what, files) => {
    expect(at(files)).toBeNull();
  });

  test('says which files told, and whose registries are asked', () => {
    expect(at({ 'package.json': '{}', 'yarn.lock': '', 'Cargo.toml': '', 'Cargo.lock': '' })).toMatchObject({
      from: ['yarn.lock', 'Cargo.toml'],
      registries: [
        { registry: 'yarn', client: 'yarn' },
        { registry: 'cargo', client: 'cargo' },
      ],
    });
  });

  const PROJECT = { 'pyproject.toml': '[project]' };
  test.each([
    [{ 'package.json': '{}', 'package-lock.json': '' }, 'npm', 'npm'],
    [{ 'package.json': '{}', 'pnpm-lock.yaml': '' }, 'npm', 'pnpm'],
    [{ ...PROJECT, 'uv.lock': '' }, 'pypi', 'uv'],
    [{ 'requirements.txt': '' }, 'pypi', 'pip'],
    [PROJECT, 'pypi', 'pip'],
    [{ 'go.mod': 'require a/b v1.0.0\n' }, 'go', 'go'],
  ])('of %j names the registry %s, and %s to say where it is', (files, registry, client) => {
    expect(at(files)?.registries).toEqual([{ registry, client }]);
  });
});

describe('what a person wrote as setup', () => {
  const npm = { registry: 'npm', client: 'npm' } as const;
  const detected: DetectedSetup = { from: ['l'], command: 'install', keyFiles: ['l'], registries: [npm] };
  const found: FoundRegistry[] = [{ ...npm, hosts: ['a.example'], urls: ['https://a.example/'] }];
  const read = (setup: unknown): SetupFields | null => {
    const parsed = RunSettingsInput.parse({ setup }).setup;
    if (parsed === undefined) throw new Error('it was not read');
    return parsed;
  };

  test('"auto" and an empty object take what is detected, with the network of its registries', () => {
    const made = { command: 'install', keyFiles: ['l'], network: { allow: ['a.example'] }, timeoutMinutes: 15 };
    expect(completeSetup(read('auto'), detected, found)).toEqual(made);
    expect(completeSetup(read({}), detected, found)).toEqual(made);
  });

  test('"none" and null run nothing, whatever is detected; neither does "auto" where nothing is', () => {
    expect(completeSetup(read('none'), detected, [])).toBeNull();
    expect(completeSetup(read(null), detected, [])).toBeNull();
    expect(completeSetup(read('auto'), null, [])).toBeNull();
  });

  test('goes before what is detected, key by key, and a command of its own has no network unless given', () => {
    expect(completeSetup(read({ network: 'none', timeoutMinutes: 5 }), detected, [])).toMatchObject({
      command: 'install',
      network: 'none',
      timeoutMinutes: 5,
    });
    expect(completeSetup(read({ keyFiles: ['x'] }), detected, found)).toMatchObject({
      command: 'install',
      keyFiles: ['x'],
    });
    expect(completeSetup(read({ command: 'make deps' }), detected, [])).toEqual({
      command: 'make deps',
      keyFiles: [],
      network: 'none',
      timeoutMinutes: 15,
    });
  });

  test('has clients asked only where it is detected and says nothing of the network', () => {
    expect(registriesToFind(read('auto'), detected)).toEqual([npm]);
    expect(registriesToFind(read('auto'), null)).toEqual([]);
    for (const setup of ['none', { command: 'make' }, { network: 'full' }, { network: { allow: [] } }])
      expect(registriesToFind(read(setup), detected)).toEqual([]);
  });

  test('is refused where it is neither, with the key that is wrong', () => {
    const issues = (setup: unknown) => RunSettingsInput.safeParse({ setup }).error?.issues.map(({ path }) => path);
    expect(issues('yes')).toEqual([['setup']]);
    expect(issues({ comand: 'x' })).toEqual([['setup']]);
    expect(issues({ command: '' })).toEqual([['setup', 'command']]);
  });

  test('reads the same after it was read once', () => {
    for (const setup of ['auto', 'none', { command: 'x', keyFiles: ['y'] }])
      expect(read(read(setup))).toEqual(read(setup));
  });

  test('is told at the start where it was worked out, or could have been', () => {
    const note = (written: unknown, from: DetectedSetup | null, answers: readonly FoundRegistry[] = found) => {
      const fields = written === undefined ? undefined : read(written);
      return setupNote(fields, from, completeSetup(fields ?? null, from, answers), answers);
    };
    expect(note('auto', detected)).toBe(
      'Sandboxes are prepared by `install` (detected from l; network: a.example for npm, named by npm).',
    );
    expect(
      note('auto', detected, [{ ...found[0], ...npm, hosts: ['a.example'], urls: [], incomplete: 'no such package' }]),
    ).toMatch(
      /npm could not install a package of our choice from there \(no such package\).*hosts of downloads may be missing.*"network"/,
    );
    expect(note({ network: { allow: ['b.example'] } }, detected, [])).toContain('network: b.example)');
    expect(note('auto', null)).toContain('nothing is installed');
    expect(note(undefined, detected)).toMatch(
      /^Sandboxes have no dependencies: l is there.*"setup": "auto".*`install`/,
    );
    for (const quiet of [undefined, 'none', { command: 'x' }]) expect(note(quiet, null)).toBeUndefined();
    expect(note('none', detected)).toBeUndefined();
  });
});
