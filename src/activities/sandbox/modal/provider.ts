/**
 * Sandboxes on Modal. What this host must know of them is in a small folder each below `<stateDir>/modal/`; all else
 * is there, and all that is done there goes through the runner (see command.ts). Isolation is Modal's (gVisor, no
 * network); inside, users keep the agent from what is the host's (see layout.ts).
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ModalConfig, SandboxLimits } from '../../../shared/config.ts';
import { FailureType, terminal } from '../../../shared/failures.ts';
import type { Log } from '../../log.ts';
import { gone } from '../gone.ts';
import type { ExecOptions, ExecResult, SandboxProvider } from '../provider.ts';
import { writeJson } from '../state/files.ts';
import { type Command, runCommand } from './command.ts';
import { connectModal } from './connection.ts';
import { modalFailure, statusOf } from './errors.ts';
import { imageFingerprint, imageSource } from './image.ts';
import { AGENT, BOOTSTRAP, CHECKPOINT, PATHS, REGISTRY, ROOT } from './layout.ts';
import { createModalRecords, type ModalRecord } from './records.ts';
import { createRemotes } from './remotes.ts';
import { IMAGES_FILE, mountSetup, snapshotSetup } from './setup-images.ts';

const BOOTSTRAP_MS = 10 * 60_000;
const HELPER_MS = 60_000;
/** A sandbox of which Modal said so recently is taken to be there. */
const KNOWN_MS = 30_000;

const ENVIRONMENT = {
  HOME: PATHS.home,
  TMPDIR: PATHS.tmp,
  USER: 'agent',
  LOGNAME: 'agent',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
} as const;

/**
 * @param options.stateDir absolute; the records of sandboxes are below it.
 * @param options.owner names this host, for ever the same: whose sandboxes `list` finds.
 * @param options.env the worker's; MODAL_TOKEN_ID and MODAL_TOKEN_SECRET are read from it.
 * @throws SandboxUnavailable when there is no token or Modal does not take it.
 */
export async function createModalProvider(options: {
  stateDir: string;
  owner: string;
  config: ModalConfig;
  limits: SandboxLimits;
  env?: Readonly<Record<string, string | undefined>>;
  log: Log;
}): Promise<SandboxProvider> {
  const { stateDir, owner, config, limits, env = process.env, log } = options;
  const source = imageSource(config.image);
  const modal = await connectModal({ config, source, env, log });
  const { scrub } = modal;
  const records = createModalRecords(join(stateDir, 'modal'));
  const remotes = createRemotes({ modal, config, owner });
  const worker = randomUUID();
  const running = new Map<string, Set<AbortController>>();
  /** When Modal last said that a sandbox is there; 0: that it is not. */
  const seen = new Map<string, number>();

  async function recordOf(id: string): Promise<ModalRecord> {
    const record = await records.read(id);
    if (record === null || seen.get(id) === 0) throw gone(id);
    return record;
  }

  /** What was thrown for a sandbox: that it is gone, if Modal says so, else that this failed. */
  async function failure(id: string, record: ModalRecord, what: string, error: unknown): Promise<Error> {
    if ((await records.read(id)) === null) return gone(id, new Error(scrub(String(error))));
    const there = await remotes.isRunning(record.sandboxId).catch(() => undefined);
    if (there === false || statusOf(error) === 'NOT_FOUND') {
      seen.set(id, 0);
      return gone(id, new Error(scrub(String(error))));
    }
    return modalFailure(`${what} in sandbox ${id} (Modal's ${record.sandboxId})`, error, scrub);
  }

  async function run(
    id: string,
    record: ModalRecord,
    command: Omit<Command, 'limits' | 'worker'>,
  ): Promise<ExecResult> {
    const stop = new AbortController();
    const group = running.get(id) ?? new Set();
    running.set(id, group.add(stop));
    const signal = command.signal === undefined ? stop.signal : AbortSignal.any([command.signal, stop.signal]);
    try {
      return await runCommand(await remotes.handle(record.sandboxId), { ...command, signal, limits, worker });
    } finally {
      group.delete(stop);
      if (group.size === 0) running.delete(id);
    }
  }

  /** A script of ours, as root. */
  async function helper(
    id: string,
    record: ModalRecord,
    script: string,
    args: string[],
    stdin?: string,
    timeoutMs = HELPER_MS,
  ) {
    const result = await run(id, record, {
      argv: ['/bin/sh', '-c', script, 'sh', ...args],
      cwd: '/',
      env: { LC_ALL: 'C' },
      identity: ROOT,
      registry: undefined,
      timeoutMs,
      ...(stdin === undefined ? {} : { stdin }),
    });
    if (result.reason === 'exit' && result.exitCode === 0) return;
    throw new Error(`it ended by ${result.reason} with ${result.exitCode}: ${result.stderr.trim().slice(-1_000)}`);
  }

  const command = (id: string, exec: ExecOptions, argv: readonly string[]): Omit<Command, 'limits' | 'worker'> => ({
    argv,
    cwd: exec.cwd ?? PATHS.workspace,
    env: { ...ENVIRONMENT, ...exec.env },
    identity: exec.git === true ? CHECKPOINT : AGENT,
    registry: REGISTRY,
    timeoutMs: exec.timeoutMs,
    ...(exec.stdin === undefined ? {} : { stdin: exec.stdin }),
    ...(exec.signal === undefined ? {} : { signal: exec.signal }),
    ...(exec.combine === undefined ? {} : { combine: exec.combine }),
    ...(exec.headBytes === undefined ? {} : { headBytes: exec.headBytes }),
    ...(exec.tailBytes === undefined ? {} : { tailBytes: exec.tailBytes }),
    ...(exec.maxBytes === undefined ? {} : { maxBytes: exec.maxBytes }),
    ...(exec.outputFile === undefined ? {} : { outputFile: `${PATHS.output}/${fileName(exec.outputFile)}` }),
  });

  async function end(id: string): Promise<void> {
    for (const stop of running.get(id) ?? []) stop.abort();
    const record = await records.read(id);
    const sandboxId = record?.sandboxId ?? (await remotes.findByName(id));
    if (sandboxId !== undefined) await remotes.terminate(sandboxId);
    seen.set(id, 0);
  }

  async function terminate(id: string): Promise<void> {
    try {
      await end(id);
    } catch (error) {
      throw modalFailure(`terminating sandbox ${id}`, error, scrub);
    }
    await records.delete(id);
    seen.delete(id);
  }

  return {
    kind: 'modal',
    isolated: true,
    remote: true,
    fingerprint: imageFingerprint(source),
    paths: () => PATHS,
    recordDir: (id) => join(records.folder(id), 'records'),

    async create({ id, network = 'none' }) {
      if (typeof network === 'object') throw unsupported('network: {"allow": […]}', 'Use "none" or "full" there');
      await records.open(id);
      try {
        const createdAt = Date.now();
        const sandboxId = await remotes.create({ id, network, createdAt });
        const record: ModalRecord = { sandboxId, createdAt, network };
        await records.write(id, record);
        seen.set(id, createdAt);
        await helper(id, record, BOOTSTRAP, [], undefined, BOOTSTRAP_MS);
      } catch (error) {
        // Nothing that was begun may go on costing: what cannot be ended now is found by its tags.
        await terminate(id).catch((again: unknown) =>
          log.warn({ sandbox: id, error: String(again) }, 'a sandbox that could not be made could not be ended either'),
        );
        throw modalFailure(`making sandbox ${id} in app ${config.app} on Modal`, error, scrub);
      }
    },

    async exec(id, argv, exec) {
      const record = await recordOf(id);
      if (exec.registries !== undefined && exec.registries.length > 0) {
        throw unsupported('setup.registries', 'Leave them out');
      }
      if (exec.network !== undefined && exec.network !== 'none' && exec.network !== record.network) {
        throw terminal(
          FailureType.Invariant,
          `sandbox ${id} was made without network: on Modal that is settled when it is made (SandboxSpec.network)`,
        );
      }
      try {
        const unmount =
          exec.setup === undefined
            ? undefined
            : await mountSetup(modal.client, await remotes.handle(record.sandboxId), exec.setup);
        try {
          const result = await run(id, record, command(id, exec, argv));
          seen.set(id, Date.now());
          return result;
        } finally {
          await unmount?.();
        }
      } catch (error) {
        throw await failure(id, record, 'running a command', error);
      }
    },

    async keepFile(id, name, content) {
      const record = await recordOf(id);
      const path = `${PATHS.output}/${fileName(name)}`;
      try {
        await helper(id, record, 'umask 022; cat > "$1"', [path], content);
      } catch (error) {
        throw await failure(id, record, `writing ${path}`, error);
      }
      return path;
    },

    terminate,

    async list() {
      const [here, there] = await Promise.all([
        records.list(),
        remotes.list(async (sandboxId) => {
          for (const id of await records.list()) if ((await records.read(id))?.sandboxId === sandboxId) return id;
          return undefined;
        }),
      ]).catch((error: unknown) => {
        throw modalFailure(`listing the sandboxes of app ${config.app} on Modal`, error, scrub);
      });
      return [...new Set([...here, ...there])];
    },

    async has(id) {
      const record = await records.read(id);
      const at = seen.get(id);
      if (record === null || at === 0) return false;
      if (at !== undefined && Date.now() - at < KNOWN_MS) return true;
      try {
        const there = await remotes.isRunning(record.sandboxId);
        seen.set(id, there ? Date.now() : 0);
        return there;
      } catch (error) {
        // Modal is away, which says nothing of the sandbox.
        log.warn({ sandbox: id, error: scrub(String(error)) }, 'Modal could not be asked after a sandbox');
        return true;
      }
    },

    async createdAt(id) {
      const at = (await records.read(id))?.createdAt ?? (await remotes.createdAt(id));
      if (at === undefined) throw gone(id);
      return at;
    },

    async archive(id, folder) {
      const record = await recordOf(id);
      try {
        const images = await snapshotSetup(await remotes.handle(record.sandboxId));
        await writeJson(join(records.folder(id), IMAGES_FILE), images);
      } catch (error) {
        throw await failure(id, record, 'keeping what setup made', error);
      }
      await end(id);
      await mkdir(dirname(folder), { recursive: true });
      await rename(records.folder(id), folder);
      seen.delete(id);
    },
  };
}

const unsupported = (what: string, remedy: string): Error =>
  terminal(
    FailureType.SandboxUnavailable,
    `sandboxes on Modal know no ${what}: the proxy that it needs is on the worker's host.`,
    `${remedy}, or set sandbox.provider to "local".`,
  );

/** Names come from callers of ours; a path would write elsewhere, as root. */
function fileName(name: string): string {
  if (/^[\w.-]{1,200}$/.test(name) && !/^\.\.?$/.test(name)) return name;
  throw terminal(FailureType.Invariant, `"${name}" is no name of an output file`);
}
