/**
 * `npm run lockfile`, after a change of dependencies: adds to package-lock.json the optional packages for other
 * platforms that npm left out. A registry (a mirror, often) that lacks some of them makes npm write a lockfile
 * that its own `npm ci` refuses everywhere. Their integrity is unknown here; npm takes them by exact version.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const FILE = join(dirname(dirname(import.meta.dirname)), 'package-lock.json');

/**
 * @typedef {object} Entry
 * @property {string} [version]
 * @property {boolean} [dev]
 * @property {boolean} [optional]
 * @property {string[]} [os]
 * @property {string[]} [cpu]
 * @property {string[]} [libc]
 * @property {Record<string, string>} [optionalDependencies]
 */

const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32', 'aix'];
const PROCESSORS = ['arm64', 'arm', 'x64', 'ia32', 'ppc64', 's390x', 'riscv64', 'loong64', 'mips64el', 'wasm32'];

/**
 * Which machines a platform package is for, by the words of its name, as all their authors write them.
 *
 * @param {string} name e.g. "@biomejs/cli-linux-x64-musl"
 * @returns {Pick<Entry, 'os' | 'cpu' | 'libc'>}
 */
function platformOf(name) {
  const words = name.split(/[-_/]/);
  const os = SYSTEMS.find((system) => words.includes(system));
  const cpu = PROCESSORS.find((processor) => words.includes(processor));
  const libc = words.some((word) => word.startsWith('musl')) ? 'musl' : words.includes('gnu') ? 'glibc' : undefined;
  if (cpu === undefined) throw new Error(`${name} does not say by its name which platform it is for; add it by hand`);
  return {
    cpu: [cpu],
    ...(os === undefined ? {} : { os: [os] }),
    ...(libc === undefined || os !== 'linux' ? {} : { libc: [libc] }),
  };
}

/**
 * @param {Record<string, Entry>} packages
 * @returns {Record<string, Entry>} what is missing, by path
 */
function missing(packages) {
  /** @type {Record<string, Entry>} */
  const found = {};
  for (const [path, entry] of Object.entries(packages)) {
    for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
      if (resolves(packages, path, name)) continue;
      if (!/^\d+\.\d+\.\d+\S*$/.test(range)) throw new Error(`${path} wants ${name}@${range}: no exact version`);
      found[`node_modules/${name}`] = {
        version: range,
        ...platformOf(name),
        ...(entry.dev === true ? { dev: true } : {}),
        optional: true,
      };
    }
  }
  return found;
}

/**
 * Whether `name`, asked for from the package at `path`, is in the lockfile: there or in a folder above.
 *
 * @param {Record<string, Entry>} packages
 * @param {string} path
 * @param {string} name
 */
function resolves(packages, path, name) {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules/') - 1))) {
    if (packages[`${at === '' ? '' : `${at}/`}node_modules/${name}`] !== undefined) return true;
    if (at === '') return false;
  }
}

/** @type {unknown} */
const parsed = JSON.parse(readFileSync(FILE, 'utf8'));
const lock = /** @type {{ packages: Record<string, Entry> }} */ (parsed);
const added = missing(lock.packages);
const sorted = Object.entries({ ...lock.packages, ...added }).sort(([a], [b]) => (a < b ? -1 : 1));
writeFileSync(FILE, `${JSON.stringify({ ...lock, packages: Object.fromEntries(sorted) }, null, 2)}\n`);
process.stdout.write(`${Object.keys(added).length} packages for other platforms added to package-lock.json\n`);
