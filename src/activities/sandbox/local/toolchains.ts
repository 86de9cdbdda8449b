/**
 * Which toolchains of the worker's PATH sandboxes get, read-only: by installation prefix, never the home. What
 * lies in /usr is there anyway.
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { ifReadable, isLink, isReadableFolder as isFolder } from '../../support/readable.ts';

export type Toolchains = {
  /** Folders (or files) bound read-only at their own path. */
  binds: string[];
  /** PATH inside, without the worker's own Node. */
  path: string[];
  /** RUSTUP_HOME and the like. */
  env: Record<string, string>;
};

const SYSTEM = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const MAX_BINDS = 24;

export const isWithin = (path: string, folder: string): boolean => {
  const rest = relative(folder, path);
  return rest === '' || (!rest.startsWith('..') && !isAbsolute(rest));
};

/** @param refused folders that no bind may contain (the state folder); the home always is one of them. */
export function findToolchains(
  env: Readonly<Record<string, string | undefined>>,
  refused: readonly string[] = [],
  home: string = homedir(),
): Toolchains {
  const binds = new Set<string>();
  const path: string[] = [];
  const extra: Record<string, string> = {};
  const forbidden = [home, real(home), ...refused, ...refused.map(real)];
  const allowed = (folder: string) => !forbidden.some((each) => isWithin(each, folder)) && folder !== '/';
  const bind = (folder: string): boolean => {
    if ([...binds].some((each) => isWithin(folder, each)) || isSystem(folder)) return true;
    if (!allowed(folder) || binds.size >= MAX_BINDS) return false;
    binds.add(folder);
    return true;
  };
  const add = (folder: string) => {
    if (!path.includes(folder)) path.push(folder);
  };

  for (const entry of (env.PATH ?? '').split(':')) {
    if (!isAbsolute(entry) || /\/node_modules\//.test(`${entry}/`) || !isFolder(entry)) continue;
    if (isSystem(entry)) {
      add(entry);
      continue;
    }
    if (basename(entry) === 'shims' && isFolder(join(dirname(entry), 'versions'))) {
      for (const prefix of pyenvVersions(dirname(entry), env)) if (bind(prefix)) add(join(prefix, 'bin'));
      continue;
    }
    const prefix = dirname(entry);
    if (!bind(looksInstalled(prefix) && allowed(prefix) ? prefix : entry)) continue;
    add(entry);
    for (const target of linkedPrefixes(entry)) bind(target);
    const rustup = env.RUSTUP_HOME ?? join(home, '.rustup');
    if (existsSync(join(entry, 'rustup')) && isFolder(join(rustup, 'toolchains')) && bind(rustup)) {
      extra.RUSTUP_HOME = rustup;
    }
  }
  for (const folder of SYSTEM) if (isFolder(folder)) add(folder);
  return { binds: [...binds], path, env: extra };
}

const isSystem = (path: string): boolean =>
  path === '/usr' || path.startsWith('/usr/') || /^\/(?:s?bin|lib\w*)(?:\/|$)/.test(path);

/** An installation of its own: two levels deep at least, with bin and more beside it, and no repository. */
function looksInstalled(prefix: string): boolean {
  if (prefix.split('/').length < 3 || basename(prefix).startsWith('.cargo') || basename(prefix) === '.local')
    return false;
  if (existsSync(join(prefix, '.git')) || existsSync(join(prefix, '.npmrc'))) return false;
  return ['lib', 'libexec', 'include', 'pyvenv.cfg'].some((name) => existsSync(join(prefix, name)));
}

/** pyenv's shims are scripts that look versions up: the versions themselves are bound instead. */
function pyenvVersions(root: string, env: Readonly<Record<string, string | undefined>>): string[] {
  const text = env.PYENV_VERSION ?? ifReadable(() => readFileSync(join(root, 'version'), 'utf8')) ?? '';
  return text
    .split(/[\s:]+/)
    .filter((version) => /^[\w.+-]+$/.test(version))
    .map((version) => real(join(root, 'versions', version)))
    .filter((prefix) => isFolder(join(prefix, 'bin')));
}

/** A folder of links (uv, pipx, a venv's python): the installations that they point to. */
function linkedPrefixes(folder: string): Set<string> {
  const prefixes = new Set<string>();
  for (const name of readdirSync(folder).slice(0, 500)) {
    const link = join(folder, name);
    if (!isLink(link)) continue;
    const target = real(link);
    const prefix = dirname(dirname(target));
    if (basename(dirname(target)) === 'bin' && !isSystem(target) && looksInstalled(prefix)) prefixes.add(prefix);
  }
  return prefixes;
}

function real(path: string): string {
  return existsSync(path) ? realpathSync(path) : path;
}
