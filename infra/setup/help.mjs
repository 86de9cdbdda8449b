/**
 * What `npm run <target> -- --help` says. It is printed under the host's Node, before any set-up and with nothing
 * installed; so only node: modules may be imported here. `agentswarm` helps by itself once its packages are there.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/**
 * The folders below `folder` of the checkout that have this file.
 *
 * @param {string} folder
 * @param {string} file
 */
const foldersWith = (folder, file) =>
  readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(ROOT, folder, entry.name, file)))
    .map(({ name }) => name)
    .sort();

const TESTS = `  FILE…       runs these test files only (a path, or a part of one)
  -t PATTERN  runs the tests only whose names match; other options of \`vitest run\` are passed on as well`;

/** @type {Readonly<Record<string, () => string>>} */
const HELP = {
  setup: () => `Usage: npm run setup

Installs everything that the other commands need, where it is missing: the packages of the lockfile (Node 24 among
them), bubblewrap (by apt, when you are root; else it says the line to type), and the Temporal server (looked for on
the PATH, downloaded, or built with Go once, which takes some minutes). Needs Node 20 or later, npm and git.
The second time it takes less than a second. All other commands here begin with it.`,

  demo: () => `Usage: npm run demo -- [options]

Builds a small library from its spec with a scripted model, and checks a fresh clone of the result.

  --dir DIR        where everything goes, the origin at DIR/origin.git (default: a new temporary folder, which is
                   kept). A DIR of an earlier demo: its run is taken up again, or its report shown
  --example NAME   ${foldersWith('examples', 'SPEC.md').join(' | ')} (default ts-library)
  --workers N      tasks at the same time (default 8)
  --latency-ms N   how long each answer of the model takes (default 200)
  --json           print the report as JSON only on standard output; all else goes to standard error
                   (npm prints two lines of its own there, unless told not to: npm run --silent demo -- --json)
  --look           no run: server and Web UI over DIR, to look at what has happened`,

  test: () => `Usage: npm test -- [FILE…] [-t PATTERN]

Runs the static gates (see \`npm run check -- --help\`) and the tests but the slow and the long ones. Ends with
"N passed, N failed"; a gate that fails counts as one failure.

${TESTS}`,

  'test:slow': () => `Usage: npm run test:slow -- [FILE…] [-t PATTERN]

Runs the tests that play whole runs (*.slow.test.ts), which take some minutes. Ends with "N passed, N failed".

${TESTS}`,

  'test:long': () => `Usage: npm run test:long -- [FILE…] [-t PATTERN]

Runs the tests with many seeds, kills and real programs, then the seeded bugs (mutants); this takes hours on two
cores. Ends with "N passed, N failed". docs/test-long.md says what it shows and how to run parts of it.

${TESTS}`,

  check: () => `Usage: npm run check

Runs the static gates: types, lint, layers, dead code and format. Says for each how long it took, and for one that
fails its output and what to do. It takes no options. \`npm run format\` mends the format.`,

  bench: () => `Usage: npm run bench -- --list
       npm run bench -- NAME [options]

Measures the product against a floor or a control of the same run. NAME is one of:
  ${foldersWith('bench', 'index.ts').join(', ')}

  --list  says what each of them measures

The options of a benchmark, with their defaults, are at the top of bench/NAME/index.ts. docs/performance.md has what
was measured, and what bounds it.`,

  attack: () => `Usage: npm run attack -- [ID or CATEGORY…]

Runs attacks on the sandboxes, each first against an unprotected stand-in, where it must succeed, then inside a
sandbox, where it must not. All of them take five minutes. Exits with 1 unless each was held.

  ID or CATEGORY  runs these only; they are in test/attack/attacks. docs/security.md says what they are about`,

  agentswarm: () => `Usage: npm run agentswarm -- [command] [options]

Turns a git repository and a spec into landed code with many coding agents, durably, on Temporal.

  run <repo> --spec <spec>   start a run, follow it to its end and print its report
  attach <run>               follow a run, or take one up that nobody carries any more
  status [run]               list runs, or show one
  doctor                     what this machine has, isolates and limits
  dev                        server, Web UI and worker until stopped

There are more commands, and each has options. The packages of this checkout are not installed, so they cannot be
shown here: run \`npm run setup\` (once), then this again. README.md lists the commands, too.`,
};

/**
 * Whether these arguments of a target ask for its help.
 *
 * @param {readonly string[]} args
 */
export function asksForHelp(args) {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).some((each) => each === '--help' || each === '-h');
}

/**
 * The help of a target, without a line break at its end.
 *
 * @param {string} target a key of `TARGETS` in main.mjs
 * @throws where it has none
 */
export function helpOf(target) {
  const help = HELP[target];
  if (help === undefined) throw new Error(`The target "${target}" has no help: write it in infra/setup/help.mjs.`);
  return help();
}
