import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { run, tail, which } from '../lib/run.mjs';
import { StepError } from '../lib/step-error.mjs';
import { CLI_COMMAND, CLI_VERSION_VARIABLE, HERE, pinnedVersion } from './version.mjs';

const PROGRESS_MS = 10_000;
const BUILD_TIMEOUT_MS = 60 * 60_000;
/** The first that fetches other toolchains by itself, as go.mod's `go` line may ask for one. */
const OLDEST_GO = [1, 21];

/**
 * Whether there is a Go that can build the server, with the reason where there is none.
 *
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<{ go: string, version: string } | { go: null, why: string }>}
 */
export async function findGo(env = process.env) {
  const go = which('go', { path: `${env.PATH ?? ''}:${env.GOROOT ?? '/usr/local/go'}/bin` });
  if (go === null) return { go: null, why: 'no `go` on the PATH' };
  const said = await run(go, ['env', 'GOVERSION'], { cwd: '/', timeoutMs: 20_000 });
  const [, major, minor] = /go(\d+)\.(\d+)/.exec(said.output) ?? [];
  if (said.code !== 0 || major === undefined || minor === undefined) {
    return { go: null, why: `${go} does not run: ${said.output.trim()}` };
  }
  const old = Number(major) === OLDEST_GO[0] && Number(minor) < Number(OLDEST_GO[1]);
  if (old) return { go: null, why: `${go} is ${said.output.trim()}; at least ${OLDEST_GO.join('.')} is needed` };
  return { go, version: said.output.trim() };
}

/**
 * Builds the server from this folder's go.mod and go.sum (exact versions, verified sums) to `target`, through a
 * temporary file and a rename: `target` is whole or absent.
 *
 * @param {{ go: string, target: string, say: (line: string) => void }} options
 * @throws {StepError} with the end of Go's output
 */
export async function buildServer({ go, target, say }) {
  const version = pinnedVersion();
  const started = Date.now();
  say(
    `building the Temporal server ${version} with Go, once (about 5 minutes on 2 cores, this machine has ` +
      `${availableParallelism()}; needs the Go module proxy)`,
  );
  await mkdir(dirname(target), { recursive: true });
  const temporary = join(dirname(target), `.building-${process.pid}`);
  const progress = { downloaded: 0, compiled: 0, last: '' };
  const timer = setInterval(() => {
    const { downloaded, compiled, last } = progress;
    say(`  ${seconds(started)} s: ${downloaded} modules downloaded, ${compiled} packages compiled, now ${last}`);
  }, PROGRESS_MS);
  try {
    const result = await run(
      go,
      ['build', '-v', '-ldflags', `-s -w -X ${CLI_VERSION_VARIABLE}=${version}`, '-o', temporary, CLI_COMMAND],
      {
        cwd: HERE,
        env: { ...process.env, GOFLAGS: '-mod=readonly', GOWORK: 'off' },
        timeoutMs: BUILD_TIMEOUT_MS,
        onLine(line) {
          if (line.startsWith('go: downloading')) progress.downloaded++;
          else progress.compiled++;
          progress.last = line.replace(/^go: /, '');
        },
      },
    );
    if (result.code !== 0) {
      throw new StepError(
        'Temporal server',
        `\`go build ${CLI_COMMAND}\` in ${HERE} ${result.problem === 'timeout' ? 'took more than an hour' : 'failed'}:\n` +
          tail(result.output),
        'see that the Go module proxy can be reached (`go env GOPROXY`) and that the disk has 4 GB free, then run ' +
          'it again; or put a `temporal` on the PATH; or set TEMPORAL_ADDRESS to a server that runs.',
      );
    }
    await rename(temporary, target);
    const { size } = await stat(target);
    say(`built in ${seconds(started)} s: ${target} (${Math.round(size / 1e6)} MB)`);
  } finally {
    clearInterval(timer);
    await rm(temporary, { force: true });
  }
}

/** @param {number} since */
const seconds = (since) => Math.round((Date.now() - since) / 1_000);
