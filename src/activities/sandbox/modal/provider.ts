/**
 * Sandboxes on Modal. What this host must know of them is in a small folder each below `<stateDir>/modal/`; all else
 * is there, and all that is done there goes through the runner (see command.ts). Isolation is Modal's (gVisor, the
 * network); inside, users keep the agent from what is the host's (see layout.ts).
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ModalConfig, SandboxLimits } from '../../../shared/config/worker-config.ts';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import type { NetworkSetting } from '../../../shared/sandbox/network.ts';
import type { Log } from '../../support/log.ts';
import { gone } from '../gone.ts';
import type { SandboxProvider } from '../provider.ts';
import { isSetupSandbox } from '../setup.ts';
import { writeJson } from '../../support/json-files.ts';
import { connectModal } from './connection.ts';
import { modalFailure, statusOf } from './errors.ts';
import { createExecutor, outputPath } from './executor.ts';
import { imageFingerprint, imageSource } from './image.ts';
import { BOOTSTRAP, PATHS } from './layout.ts';
import { hasNetwork, modalNetwork } from './network.ts';
import { createModalRecords, type ModalRecord } from './records.ts';
import { createRemotes } from './remotes.ts';
import { IMAGES_FILE, mountSetup, snapshotSetup } from './setup-images.ts';

const BOOTSTRAP_MS = 10 * 60_000;
/** A sandbox of which Modal said so recently is taken to be there. */
const KNOWN_MS = 30_000;

/**
 * @param options.stateDir absolute; the records of sandboxes are below it.
 * @param options.owner names this host, for ever the same: whose sandboxes `list` finds.
 * @param options.env the worker's; MODAL_TOKEN_ID and MODAL_TOKEN_SECRET are read from it.
 * @param options.network what commands of agents may reach.
 * @throws SandboxUnavailable when there is no token or Modal does not take it, or for a network that Modal has not.
 */
export async function createModalProvider(options: {
  stateDir: string;
  owner: string;
  config: ModalConfig;
  limits: SandboxLimits;
  network: NetworkSetting;
  env?: Readonly<Record<string, string | undefined>>;
  log: Log;
}): Promise<SandboxProvider> {
  const { stateDir, owner, config, limits, network: agentNetwork, env = process.env, log } = options;
  modalNetwork(agentNetwork, 'sandbox.network');
  const source = imageSource(config.image);
  const modal = await connectModal({ config, source, env, log });
  const { scrub } = modal;
  const records = createModalRecords(join(stateDir, 'modal'));
  const remotes = createRemotes({ modal, config, owner });
  const executor = createExecutor({ handle: remotes.handle, limits, worker: randomUUID() });
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

  async function end(id: string): Promise<void> {
    executor.stop(id);
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
    agentNetwork,
    paths: () => PATHS,
    recordDir: (id) => join(records.folder(id), 'records'),

    async create({ id, network = agentNetwork }) {
      const asked = modalNetwork(network, isSetupSandbox(id) ? 'setup.network' : 'sandbox.network');
      await records.open(id);
      try {
        const createdAt = Date.now();
        const sandboxId = await remotes.create({ id, network: asked, createdAt });
        const record: ModalRecord = { sandboxId, createdAt, network };
        await records.write(id, record);
        seen.set(id, createdAt);
        await executor.helper(id, sandboxId, BOOTSTRAP, { timeoutMs: BOOTSTRAP_MS });
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
      if (!hasNetwork(record.network, exec.network ?? 'none')) {
        throw terminal(
          FailureType.Invariant,
          `sandbox ${id} was made with network ${JSON.stringify(record.network)}, not ${JSON.stringify(exec.network)}: on Modal that is settled when it is made (SandboxSpec.network)`,
        );
      }
      try {
        const unmount =
          exec.setup === undefined
            ? undefined
            : await mountSetup(modal.client, await remotes.handle(record.sandboxId), exec.setup);
        try {
          const result = await executor.exec(id, record.sandboxId, argv, exec);
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
      const path = outputPath(name);
      try {
        await executor.helper(id, record.sandboxId, 'umask 022; cat > "$1"', { args: [path], stdin: content });
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
