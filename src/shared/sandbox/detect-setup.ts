/**
 * How a repository's dependencies are installed, by the files at its root: npm, pnpm, yarn (by their lockfiles), uv,
 * pip, cargo, go. Pure. What needs no installing (no lockfile, no dependencies, vendored modules) is not detected.
 */
import type { NetworkSetting } from '../contracts/network.ts';
import { PUBLIC_REGISTRIES } from './public-registries.ts';
import type { Setup, SetupFields } from '../contracts/run-settings.ts';

export type DetectedSetup = {
  /** The files that told. */
  from: string[];
  command: string;
  keyFiles: string[];
  /** Host names of the public registries that the command asks. */
  hosts: string[];
};

/** The files whose text is looked at, not only their name. */
export const DETECTION_TEXTS = ['package.json', 'pyproject.toml', 'go.mod', 'Makefile'] as const;

export type RootFiles = {
  /** Names of all files and folders at the root. */
  names: ReadonlySet<string>;
  /** Of those in DETECTION_TEXTS that are there. */
  texts: Readonly<Partial<Record<(typeof DETECTION_TEXTS)[number], string>>>;
};

type Part = Pick<DetectedSetup, 'from' | 'command'> & { keys: readonly string[]; hosts: readonly string[] };

/** All that is found, one command after the other; null when nothing is. */
export function detectSetup(root: RootFiles): DetectedSetup | null {
  const parts = [node(root), python(root), cargo(root), go(root)].filter((part) => part !== null);
  if (parts.length === 0) return null;
  const all = (of: (part: Part) => readonly string[]) => [...new Set(parts.flatMap(of))];
  return {
    from: all((part) => part.from),
    command: parts.map(({ command }) => command).join(' && '),
    keyFiles: all((part) => part.keys).filter((name) => root.names.has(name)),
    hosts: all((part) => part.hosts),
  };
}

const LOCKFILES: readonly { lock: string; tool: 'npm' | 'pnpm' | 'yarn' }[] = [
  { lock: 'pnpm-lock.yaml', tool: 'pnpm' },
  { lock: 'yarn.lock', tool: 'yarn' },
  { lock: 'npm-shrinkwrap.json', tool: 'npm' },
  { lock: 'package-lock.json', tool: 'npm' },
];

function node({ names, texts }: RootFiles): Part | null {
  if (!names.has('package.json')) return null;
  const [, named, major] = /"packageManager"\s*:\s*"(npm|pnpm|yarn)@(\d+)/.exec(texts['package.json'] ?? '') ?? [];
  const there = LOCKFILES.filter(({ lock }) => names.has(lock));
  const found = there.find(({ tool }) => tool === named) ?? there[0];
  if (found === undefined) return null;
  const { lock, tool } = found;
  const part = (command: string, hosts: readonly string[], ...keys: string[]): Part => ({
    from: [lock],
    command,
    hosts,
    keys: ['package.json', lock, '.npmrc', ...keys],
  });
  switch (tool) {
    case 'npm':
      return part('npm ci --no-audit --no-fund', PUBLIC_REGISTRIES.npm);
    case 'pnpm':
      // A store in the home would be copied into each sandbox beside node_modules.
      return part(
        'pnpm install --frozen-lockfile --store-dir "$TMPDIR/pnpm-store"',
        PUBLIC_REGISTRIES.npm,
        'pnpm-workspace.yaml',
        '.pnpmfile.cjs',
      );
    case 'yarn': {
      const modern = names.has('.yarnrc.yml') || (named === 'yarn' && Number(major) >= 2);
      return part(
        `yarn install ${modern ? '--immutable' : '--frozen-lockfile'}`,
        PUBLIC_REGISTRIES.yarn,
        '.yarnrc.yml',
        '.yarnrc',
      );
    }
  }
}

const DEVELOPMENT = /^(?:requirements[-_.](?:dev|test|tests)|(?:dev|test)[-_]requirements)\.txt$/;

function python({ names, texts }: RootFiles): Part | null {
  const project = texts['pyproject.toml'] ?? '';
  if (names.has('uv.lock') && names.has('pyproject.toml')) {
    return {
      from: ['uv.lock'],
      command: 'uv sync --frozen',
      keys: ['pyproject.toml', 'uv.lock', '.python-version'],
      hosts: PUBLIC_REGISTRIES.pypi,
    };
  }
  const install = (from: string[], what: string): Part => ({
    from,
    command: `python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check ${what}`,
    keys: [...from, 'constraints.txt', 'setup.py', 'setup.cfg'],
    hosts: PUBLIC_REGISTRIES.pypi,
  });
  const lists = [...names].filter((name) => name === 'requirements.txt' || DEVELOPMENT.test(name)).sort();
  if (lists.length > 0) return install(lists, lists.map((name) => `-r ${name}`).join(' '));
  if (!/^\s*\[(?:project|build-system)\]/m.test(project)) return null;
  const extras = ['dev', 'test', 'tests'].filter((name) => extrasOf(project).has(name));
  return install(['pyproject.toml'], extras.length === 0 ? '-e .' : `-e '.[${extras.join(',')}]'`);
}

/** Names in `[project.optional-dependencies]`. */
function extrasOf(project: string): Set<string> {
  const [, table = ''] =
    /^\s*\[project\.optional-dependencies\]\s*$([\s\S]*?)(?=^\s*\[[^\]\n]*\]\s*$|(?![\s\S]))/m.exec(project) ?? [];
  return new Set([...table.matchAll(/^\s*"?([A-Za-z0-9._-]+)"?\s*=/gm)].map(([, name = '']) => name));
}

function cargo({ names }: RootFiles): Part | null {
  if (!names.has('Cargo.toml')) return null;
  return {
    from: ['Cargo.toml'],
    command: names.has('Cargo.lock') ? 'cargo fetch --locked' : 'cargo fetch',
    keys: ['Cargo.toml', 'Cargo.lock', 'rust-toolchain', 'rust-toolchain.toml'],
    hosts: PUBLIC_REGISTRIES.cargo,
  };
}

function go({ names, texts }: RootFiles): Part | null {
  if (!names.has('go.mod') || names.has('vendor') || !/^\s*require\b/m.test(texts['go.mod'] ?? '')) return null;
  return {
    from: ['go.mod'],
    command: 'go mod download',
    keys: ['go.mod', 'go.sum'],
    hosts: PUBLIC_REGISTRIES.go,
  };
}

/**
 * What a person wrote, with what was left out filled in. A `command` of theirs is taken as it is, without network
 * unless they gave some; a detected one may reach its registries unless they said otherwise.
 * @returns null when there is nothing to run.
 */
export function completeSetup(written: SetupFields | null, detected: DetectedSetup | null): Setup | null {
  if (written === null) return null;
  const { command, keyFiles, network, ...rest } = written;
  if (command !== undefined) return { ...rest, command, keyFiles: keyFiles ?? [], network: network ?? 'none' };
  if (detected === null) return null;
  const registries: NetworkSetting = { allow: detected.hosts };
  return {
    ...rest,
    command: detected.command,
    keyFiles: keyFiles ?? detected.keyFiles,
    network: network ?? registries,
  };
}

/** What a person is told of it at the start of a run; undefined where there is nothing to say. */
export function setupNote(
  written: SetupFields | null | undefined,
  detected: DetectedSetup | null,
  setup: Setup | null,
): string | undefined {
  if (written === undefined) {
    if (detected === null) return undefined;
    return `Sandboxes have no dependencies: ${detected.from.join(', ')} is there, but setup is not configured. "setup": "auto" in agentswarm.json would run \`${detected.command}\`, with the network of its registries only; "none" ends this note.`;
  }
  if (written === null || written.command !== undefined) return undefined;
  if (setup === null || detected === null)
    return 'setup is "auto", but no lockfile or list of dependencies was found at the root of the repository: nothing is installed.';
  const reach = typeof setup.network === 'string' ? setup.network : setup.network.allow.join(', ');
  return `Sandboxes are prepared by \`${setup.command}\` (detected from ${detected.from.join(', ')}; network: ${reach}).`;
}
