/** What this machine can do for runs, looked at without changing anything that stays. */
import { accessSync, constants, existsSync } from 'node:fs';
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Connection } from '@temporalio/client';
import { runProcess } from '../activities/process/run-process.ts';
import type { LoadedConfig } from '../host/load-config.ts';
import { embeddedTarget, externalTarget } from '../host/connection.ts';
import { checkModels } from './preflight.ts';
import type { Finding } from './finding.ts';
import { examineSandboxes } from './sandboxes.ts';

export type DoctorRequest = {
  loaded: LoadedConfig;
  env: NodeJS.ProcessEnv;
  /** The `temporal` that would be started where no server is named; null where one must be got first. */
  findServer: () => { file: string } | null;
};

const MIB = 1_048_576;
const CONNECT_MS = 5_000;
const OLDEST_NODE = [22, 12] as const;
/** The first with `git merge-tree --write-tree`. */
const OLDEST_GIT = [2, 38] as const;
const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** @returns findings in the order in which a person would mend them. Takes at most some 30 s. */
export async function examine(request: DoctorRequest): Promise<Finding[]> {
  const { loaded, env } = request;
  const scratch = await mkdtemp(join(tmpdir(), 'agentswarm-doctor-'));
  try {
    return [
      node(),
      await git(env),
      await merging(env),
      ...(await examineSandboxes({ config: loaded.config, env, scratch })),
      await disk(loaded),
      stateFolder(loaded.stateDir),
      await temporal(request),
      await models(request),
    ];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

const isOlder = (version: readonly number[], oldest: readonly [number, number]): boolean =>
  (version[0] ?? 0) < oldest[0] || (version[0] === oldest[0] && (version[1] ?? 0) < oldest[1]);

function node(): Finding {
  const { version, execPath } = process;
  const old = isOlder(version.slice(1).split('.').map(Number), OLDEST_NODE);
  return {
    name: 'Node',
    state: old ? 'missing' : 'full',
    found: `${version} (${execPath})`,
    ...(old ? { blocks: true, remedy: `Install Node ${OLDEST_NODE.join('.')} or later.` } : {}),
  };
}

async function git(env: NodeJS.ProcessEnv): Promise<Finding> {
  const ran = await runProcess(['git', '--version'], { env: { PATH: env.PATH ?? '' }, timeoutMs: 10_000 }).catch(
    () => null,
  );
  const version = /git version ((\d+)\.(\d+)\S*)/.exec(ran?.stdout.toString() ?? '');
  const remedy = `Install git ${OLDEST_GIT.join('.')} or later: apt-get install -y git`;
  if (version === null) return { name: 'git', state: 'missing', found: 'none on the PATH', remedy, blocks: true };
  if (!isOlder([Number(version[2]), Number(version[3])], OLDEST_GIT)) {
    return { name: 'git', state: 'full', found: version[1] ?? '' };
  }
  return {
    name: 'git',
    state: 'missing',
    found: `${version[1]}, too old to merge without a checkout`,
    remedy,
    blocks: true,
  };
}

/** git before 2.49 keeps the answers of `merge-tree --stdin` in its buffer. Work lands without it too, only slower. */
async function merging(env: NodeJS.ProcessEnv): Promise<Finding> {
  const name = 'merging';
  const ran = await runProcess(['stdbuf', '--version'], { env: { PATH: env.PATH ?? '' }, timeoutMs: 10_000 }).catch(
    () => null,
  );
  if (ran?.exitCode === 0) return { name, state: 'full', found: 'one git for a whole batch, through stdbuf' };
  return {
    name,
    state: 'partly',
    found: 'two processes of git for each landing: there is no stdbuf on the PATH',
    remedy: 'apt-get install -y coreutils: git before 2.49 needs its stdbuf to merge a batch in one process.',
  };
}

/** The folder may not have been made yet: then what it will be made in. */
function nearest(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearest(dirname(path));
}

async function disk({ config, stateDir }: LoadedConfig): Promise<Finding> {
  const { minFreeDiskMb, diskMb } = config.sandbox.limits;
  const { bavail, bsize } = await statfs(nearest(stateDir));
  const freeMb = Math.floor((bavail * bsize) / MIB);
  const found = `${freeMb} MB free for ${stateDir}`;
  if (freeMb < minFreeDiskMb) {
    const remedy = `At least ${minFreeDiskMb} MB must be free (sandbox.limits.minFreeDiskMb): nothing can be written now. Free some, or give another --state-dir.`;
    return { name: 'disk', state: 'missing', found, remedy, blocks: true };
  }
  const neededMb = config.sandbox.maxSandboxes * diskMb;
  if (freeMb >= neededMb) return { name: 'disk', state: 'full', found };
  const remedy = `${config.sandbox.maxSandboxes} sandboxes may take ${neededMb} MB (sandbox.maxSandboxes × sandbox.limits.diskMb); commands are stopped when ${minFreeDiskMb} MB are left.`;
  return { name: 'disk', state: 'partly', found, remedy };
}

function stateFolder(stateDir: string): Finding {
  try {
    accessSync(nearest(stateDir), constants.W_OK | constants.X_OK);
    return {
      name: 'state folder',
      state: 'full',
      found: existsSync(stateDir) ? stateDir : `${stateDir} (will be made)`,
    };
  } catch (error) {
    const found = `${stateDir} cannot be written (${(error as NodeJS.ErrnoException).code})`;
    const remedy = 'Give another --state-dir, or set AGENTSWARM_STATE_DIR.';
    return { name: 'state folder', state: 'missing', found, remedy, blocks: true };
  }
}

async function temporal({ loaded, env, findServer }: DoctorRequest): Promise<Finding> {
  const name = 'Temporal';
  try {
    const named = await externalTarget({ config: loaded.config, env });
    const target = named ?? (await embeddedTarget(loaded));
    if (target !== null) {
      try {
        const connection = await Connection.connect({ ...target.connection, connectTimeout: CONNECT_MS });
        await connection.workflowService.describeNamespace({ namespace: target.namespace });
        // Closing it can throw outside of any promise, in a retry of the SDK; the process ends soon.
        return { name, state: 'full', found: `${target.address}, namespace ${target.namespace}` };
      } catch (error) {
        const found = `${target.address}, namespace ${target.namespace}: ${(error as Error).message}`;
        const remedy =
          'Check that the server runs, and address, namespace and credentials (TEMPORAL_*, temporal.toml).';
        // One of our own is started when it is needed.
        if (named !== null) return { name, state: 'missing', found, remedy, blocks: true };
      }
    }
    const server = findServer();
    if (server !== null)
      return { name, state: 'full', found: `a server of its own, started when needed (${server.file})` };
    return {
      name,
      state: 'partly',
      found: 'a server of its own, which must be downloaded or built first',
      remedy: 'npm run setup gets it; or set TEMPORAL_ADDRESS.',
    };
  } catch (error) {
    return {
      name,
      state: 'missing',
      found: (error as Error).message,
      remedy: 'Mend the settings that it names.',
      blocks: true,
    };
  }
}

async function models({ loaded, env }: DoctorRequest): Promise<Finding> {
  const name = 'models';
  try {
    const { endpoints, warnings } = await checkModels({ config: loaded.config, env, log: quiet });
    const found = `endpoints ${endpoints.map((endpoint) => endpoint.name).join(', ')}`;
    if (warnings.length === 0) return { name, state: 'full', found };
    return { name, state: 'partly', found, remedy: warnings.join(' ') };
  } catch (error) {
    const [found = '', ...rest] = (error as Error).message.split('\n');
    return {
      name,
      state: 'missing',
      found,
      ...(rest.length === 0 ? {} : { remedy: rest.join(' ').trim() }),
      blocks: true,
    };
  }
}
