/**
 * What a repository calls well, by the files at its root: scripts of package.json (npm, pnpm, yarn), tsc, cargo, go,
 * pytest, make. Pure. They run without network, over what `setup` has installed.
 */
import type { Check } from '../contracts/check-settings.ts';
import type { RootFiles } from '../sandbox/detect-setup.ts';

/** All that is found, in the order in which they are run: what fails soon first. */
export function detectChecks(root: RootFiles): Check[] {
  const found = [...node(root), ...cargo(root), ...go(root), ...python(root)];
  return (found.length > 0 ? found : make(root)).map((check) => ({ quick: false, timeoutMinutes: 15, ...check }));
}

type Found = Pick<Check, 'name' | 'command'>;

const SCRIPTS: readonly (readonly string[])[] = [
  ['typecheck', 'type-check', 'check-types', 'types', 'tsc'],
  ['lint'],
  ['build', 'compile'],
  ['test'],
];
/** What `npm init` writes. */
const NO_TEST = /no test specified/;

function node({ names, texts }: RootFiles): Found[] {
  const text = texts['package.json'];
  if (text === undefined) return [];
  const { scripts, packageManager } = packageOf(text);
  const tool =
    names.has('pnpm-lock.yaml') || packageManager.startsWith('pnpm@')
      ? 'pnpm'
      : names.has('yarn.lock') || packageManager.startsWith('yarn@')
        ? 'yarn'
        : 'npm';
  const chosen = SCRIPTS.flatMap((alike) => {
    const name = alike.find((each) => scripts.has(each) && !NO_TEST.test(scripts.get(each) ?? ''));
    return name === undefined ? [] : [{ name, command: `${tool} run ${name}` }];
  });
  const types =
    SCRIPTS[0]?.some((name) => scripts.has(name)) === true || /\btsc\b/.test([...scripts.values()].join('\n'));
  if (types || !names.has('tsconfig.json') || !/"typescript"\s*:/.test(text)) return chosen;
  const run = { npm: 'npx --no-install', pnpm: 'pnpm exec', yarn: 'yarn run' }[tool];
  return [{ name: 'types', command: `${run} tsc --noEmit --pretty false` }, ...chosen];
}

/** A package.json that is none has no scripts: whoever broke it meets that elsewhere. */
function packageOf(text: string): { scripts: Map<string, string>; packageManager: string } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = null;
  }
  const { scripts, packageManager } = (json ?? {}) as { scripts?: unknown; packageManager?: unknown };
  const entries = typeof scripts === 'object' && scripts !== null ? Object.entries(scripts) : [];
  return {
    scripts: new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string')),
    packageManager: typeof packageManager === 'string' ? packageManager : '',
  };
}

function cargo({ names }: RootFiles): Found[] {
  if (!names.has('Cargo.toml')) return [];
  return [
    { name: 'cargo build', command: 'cargo build --offline --all-targets' },
    { name: 'cargo test', command: 'cargo test --offline --no-fail-fast' },
  ];
}

/** `-v`, because without it go does not say how many tests it ran. */
function go({ names }: RootFiles): Found[] {
  if (!names.has('go.mod')) return [];
  return [
    { name: 'go build', command: 'go build ./...' },
    { name: 'go vet', command: 'go vet ./...' },
    { name: 'go test', command: 'go test -v ./...' },
  ];
}

function python({ names, texts }: RootFiles): Found[] {
  const uses =
    ['pytest.ini', 'conftest.py'].some((name) => names.has(name)) || /\bpytest\b/.test(texts['pyproject.toml'] ?? '');
  if (!uses) return [];
  if (names.has('uv.lock')) return [{ name: 'pytest', command: 'uv run --offline --frozen python -m pytest' }];
  // As `setup` makes it where it is detected; a repository without dependencies has none.
  return [
    {
      name: 'pytest',
      command: 'if [ -x .venv/bin/python ]; then .venv/bin/python -m pytest; else python3 -m pytest; fi',
    },
  ];
}

function make({ texts }: RootFiles): Found[] {
  const target = ['check', 'test'].find((name) => new RegExp(`^${name}\\s*:(?!=)`, 'm').test(texts.Makefile ?? ''));
  return target === undefined ? [] : [{ name: `make ${target}`, command: `make ${target}` }];
}
