import { describe, expect, it } from 'vitest';
import { Checks } from '../../../src/shared/contracts/check-settings.ts';
import { detectChecks } from '../../../src/shared/reconciler/detect-checks.ts';
import type { RootFiles } from '../../../src/shared/sandbox/detect-setup.ts';

const root = (names: string[], texts: RootFiles['texts'] = {}): RootFiles => ({
  names: new Set([...names, ...Object.keys(texts)]),
  texts,
});
const commands = (files: RootFiles) => detectChecks(files).map(({ command }) => command);
const scripts = (all: Record<string, string>, more: object = {}) => JSON.stringify({ scripts: all, ...more });

describe('detectChecks', () => {
  it.each<[string, RootFiles, string[]]>([
    ['nothing', root(['README.md']), []],
    [
      'npm scripts, what fails soon first',
      root([], { 'package.json': scripts({ test: 'vitest run', build: 'tsc', lint: 'eslint .', start: 'node .' }) }),
      ['npm run lint', 'npm run build', 'npm run test'],
    ],
    ['pnpm by its lockfile', root(['pnpm-lock.yaml'], { 'package.json': scripts({ test: 'x' }) }), ['pnpm run test']],
    [
      'yarn as package.json says it',
      root([], { 'package.json': scripts({ test: 'x' }, { packageManager: 'yarn@4.1.0' }) }),
      ['yarn run test'],
    ],
    [
      'no test that npm init wrote',
      root([], { 'package.json': scripts({ test: 'echo "Error: no test specified" && exit 1' }) }),
      [],
    ],
    [
      'tsc where no script does it',
      root(['tsconfig.json'], {
        'package.json': scripts({ test: 'node --test' }, { devDependencies: { typescript: '6.0.3' } }),
      }),
      ['npx --no-install tsc --noEmit --pretty false', 'npm run test'],
    ],
    [
      'tsc only once',
      root(['tsconfig.json'], {
        'package.json': scripts({ build: 'tsc -p .' }, { devDependencies: { typescript: '6.0.3' } }),
      }),
      ['npm run build'],
    ],
    ['a package.json that is none', root([], { 'package.json': '{' }), []],
    ['cargo', root(['Cargo.toml']), ['cargo build --offline --all-targets', 'cargo test --offline --no-fail-fast']],
    ['go', root([], { 'go.mod': 'module x\n' }), ['go build ./...', 'go vet ./...', 'go test -v ./...']],
    [
      'pytest',
      root(['conftest.py']),
      ['if [ -x .venv/bin/python ]; then .venv/bin/python -m pytest; else python3 -m pytest; fi'],
    ],
    [
      'pytest by uv',
      root(['uv.lock'], { 'pyproject.toml': '[dependency-groups]\ndev = ["pytest>=8"]\n' }),
      ['uv run --offline --frozen python -m pytest'],
    ],
    ['make check before make test', root([], { Makefile: 'test:\n\ttrue\ncheck: test\n' }), ['make check']],
    ['make test', root([], { Makefile: 'CFLAGS := -O2\ntest: all\n\t./run\n' }), ['make test']],
    ['no variable that is called test', root([], { Makefile: 'test := 3\n' }), []],
    [
      'make only where nothing else is known',
      root([], { Makefile: 'test:\n', 'go.mod': 'module x\n' }),
      ['go build ./...', 'go vet ./...', 'go test -v ./...'],
    ],
  ])('finds %s', (_, files, expected) => {
    expect(commands(files)).toEqual(expected);
    expect(Checks.parse(detectChecks(files))).toEqual(detectChecks(files));
  });
});
