/**
 * Sandboxes on Modal. This host keeps a small folder of records for each of them below `<stateDir>/modal/`; their files
 * are on Modal, and every command there goes through the runner (see command.ts). Modal isolates them (by gVisor and
 * its rules for the network); inside, separate users keep the agent from the host's own files (see layout.ts).
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ModalConfig, SandboxLimits } from '../../../shared/config/worker-config.ts';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import type { NetworkSetting } from '../../../shared/contracts/network.ts';
import type { Log } from '../../support/log.ts';
import { gone } from '../gone.ts';
import type { ExecOptions, SandboxPaths, SandboxProvider, SandboxResult, SandboxSpec } from '../provider.ts';
import { isSetupSandbox } from '../setup.ts';
import { writeJson } from '../../support/json-files.ts';
import { connectModal, type ModalConnection } from './connection.ts';
import { modalFailure, statusOf } from './errors.ts';
import { createExecutor, type Executor, outputPath } from './executor.ts';
import { imageFingerprint, imageSource } from './image.ts';
import { BOOTSTRAP, PATHS } from './layout.ts';
import { hasNetwork, modalNetwork } from './network.ts';
import { createModalRecords, type ModalRecord, type ModalRecords } from './records.ts';
import { createRemotes, type Remotes } from './remotes.ts';
import { IMAGES_FILE, mountSetup, snapshotSetup } from './setup-images.ts';

const BOOTSTRAP_MS = 10 * 60_000;
/** For so long after Modal has confirmed that a sandbox exists, it is not asked again. */
const CONFIRMED_FOR_MS = 30_000;

type ModalProviderOptions = {
  /** Absolute; the records of sandboxes are below it. */
  stateDir: string;
  /** Names this host and never changes: `list` finds the sandboxes that were made under it. */
  owner: string;
  config: ModalConfig;
  limits: SandboxLimits;
  /** What the agents' commands may reach. */
  network: NetworkSetting;
  /** The worker's; MODAL_TOKEN_ID and MODAL_TOKEN_SECRET are read from it. */
  env?: Readonly<Record<string, string | undefined>>;
  log: Log;
};

/**
 * @throws SandboxUnavailable when there is no token, when Modal refuses it, or when Modal cannot keep to `network`.
 */
export async function createModalProvider(options: ModalProviderOptions): Promise<SandboxProvider> {
  const { config, network, env = process.env, log } = options;
  modalNetwork(network, 'sandbox.network');
  const source = imageSource(config.image);
  const modal = await connectModal({ config, source, env, log });
  return new ModalProvider(options, modal, imageFingerprint(source));
}

class ModalProvider implements SandboxProvider {
  readonly kind = 'modal';
  readonly isolated = true;
  readonly remote = true;
  readonly fingerprint: string;
  readonly agentNetwork: NetworkSetting;
  private readonly app: string;
  private readonly modal: ModalConnection;
  private readonly records: ModalRecords;
  private readonly remotes: Remotes;
  private readonly executor: Executor;
  private readonly log: Log;
  /** When Modal last confirmed that a sandbox exists, in ms since the epoch; 0 when Modal said that it does not. */
  private readonly confirmedAt = new Map<string, number>();

  constructor(options: ModalProviderOptions, modal: ModalConnection, fingerprint: string) {
    const { stateDir, owner, config, limits, network, log } = options;
    this.fingerprint = fingerprint;
    this.agentNetwork = network;
    this.app = config.app;
    this.modal = modal;
    this.records = createModalRecords(join(stateDir, 'modal'));
    const remotes = createRemotes({ modal, config, owner });
    this.remotes = remotes;
    this.executor = createExecutor({
      handle: (sandboxId) => remotes.handle(sandboxId),
      limits,
      worker: randomUUID(),
    });
    this.log = log;
  }

  paths(): SandboxPaths {
    return PATHS;
  }

  recordDir(id: string): string {
    return join(this.records.folder(id), 'records');
  }

  async create({ id, network = this.agentNetwork }: SandboxSpec): Promise<void> {
    const networkOptions = modalNetwork(network, isSetupSandbox(id) ? 'setup.network' : 'sandbox.network');
    await this.records.open(id);
    try {
      const createdAt = Date.now();
      const sandboxId = await this.remotes.create({ id, network: networkOptions, createdAt });
      await this.records.write(id, { sandboxId, createdAt, network });
      this.confirmedAt.set(id, createdAt);
      await this.executor.helper(id, sandboxId, BOOTSTRAP, { timeoutMs: BOOTSTRAP_MS });
    } catch (error) {
      // A sandbox that was begun must not go on costing money. One that cannot be ended now is found by its tags.
      await this.terminate(id).catch((terminateError: unknown) =>
        this.log.warn(
          { sandbox: id, error: String(terminateError) },
          'a sandbox that could not be made could not be ended either',
        ),
      );
      throw modalFailure(`making sandbox ${id} in app ${this.app} on Modal`, error, this.modal.scrub);
    }
  }

  async exec(id: string, argv: readonly string[], options: ExecOptions): Promise<SandboxResult> {
    const record = await this.recordOf(id);
    refuseWhatModalHasNot(id, record, options);
    try {
      const unmount =
        options.setup === undefined
          ? undefined
          : await mountSetup(this.modal.client, await this.remotes.handle(record.sandboxId), options.setup);
      try {
        const result = await this.executor.exec(id, record.sandboxId, argv, options);
        this.confirmedAt.set(id, Date.now());
        return result;
      } finally {
        await unmount?.();
      }
    } catch (error) {
      throw await this.failure(id, record, 'running a command', error);
    }
  }

  async keepFile(id: string, name: string, content: string): Promise<string> {
    const record = await this.recordOf(id);
    const path = outputPath(name);
    try {
      await this.executor.helper(id, record.sandboxId, 'umask 022; cat > "$1"', { args: [path], stdin: content });
    } catch (error) {
      throw await this.failure(id, record, `writing ${path}`, error);
    }
    return path;
  }

  async terminate(id: string): Promise<void> {
    try {
      await this.end(id);
    } catch (error) {
      throw modalFailure(`terminating sandbox ${id}`, error, this.modal.scrub);
    }
    await this.records.delete(id);
    this.confirmedAt.delete(id);
  }

  async list(): Promise<string[]> {
    const { records, remotes } = this;
    const [recorded, running] = await Promise.all([
      records.list(),
      remotes.list(async (sandboxId) => {
        for (const id of await records.list()) if ((await records.read(id))?.sandboxId === sandboxId) return id;
        return undefined;
      }),
    ]).catch((error: unknown) => {
      throw modalFailure(`listing the sandboxes of app ${this.app} on Modal`, error, this.modal.scrub);
    });
    return [...new Set([...recorded, ...running])];
  }

  async has(id: string): Promise<boolean> {
    const record = await this.records.read(id);
    const confirmedAt = this.confirmedAt.get(id);
    if (record === null || confirmedAt === 0) return false;
    if (confirmedAt !== undefined && Date.now() - confirmedAt < CONFIRMED_FOR_MS) return true;
    try {
      const isRunning = await this.remotes.isRunning(record.sandboxId);
      this.confirmedAt.set(id, isRunning ? Date.now() : 0);
      return isRunning;
    } catch (error) {
      // That Modal cannot be reached says nothing about the sandbox.
      this.log.warn(
        { sandbox: id, error: this.modal.scrub(String(error)) },
        'Modal could not be asked after a sandbox',
      );
      return true;
    }
  }

  async createdAt(id: string): Promise<number> {
    const createdAt = (await this.records.read(id))?.createdAt ?? (await this.remotes.createdAt(id));
    if (createdAt === undefined) throw gone(id);
    return createdAt;
  }

  async archive(id: string, folder: string): Promise<void> {
    const record = await this.recordOf(id);
    const recordFolder = this.records.folder(id);
    try {
      const images = await snapshotSetup(await this.remotes.handle(record.sandboxId));
      await writeJson(join(recordFolder, IMAGES_FILE), images);
    } catch (error) {
      throw await this.failure(id, record, 'keeping what setup made', error);
    }
    await this.end(id);
    await mkdir(dirname(folder), { recursive: true });
    await rename(recordFolder, folder);
    this.confirmedAt.delete(id);
  }

  /** @throws SandboxGone when this host has no record of it, or Modal has said that it is gone. */
  private async recordOf(id: string): Promise<ModalRecord> {
    const record = await this.records.read(id);
    if (record === null || this.confirmedAt.get(id) === 0) throw gone(id);
    return record;
  }

  /** Stops what runs in a sandbox and ends it on Modal; its records stay. */
  private async end(id: string): Promise<void> {
    this.executor.stop(id);
    const record = await this.records.read(id);
    const sandboxId = record?.sandboxId ?? (await this.remotes.findByName(id));
    if (sandboxId !== undefined) await this.remotes.terminate(sandboxId);
    this.confirmedAt.set(id, 0);
  }

  /**
   * What to throw when `action` failed in a sandbox: SandboxGone when the sandbox does not exist any more, otherwise
   * the failure of the action.
   */
  private async failure(id: string, record: ModalRecord, action: string, error: unknown): Promise<Error> {
    const { scrub } = this.modal;
    if ((await this.records.read(id)) === null) return gone(id, new Error(scrub(String(error))));
    const isRunning = await this.remotes.isRunning(record.sandboxId).catch(() => undefined);
    if (isRunning === false || statusOf(error) === 'NOT_FOUND') {
      this.confirmedAt.set(id, 0);
      return gone(id, new Error(scrub(String(error))));
    }
    return modalFailure(`${action} in sandbox ${id} (Modal's ${record.sandboxId})`, error, scrub);
  }
}

/** @throws a terminal failure for a command that needs what sandboxes on Modal, or this one, do not have. */
function refuseWhatModalHasNot(id: string, record: ModalRecord, options: ExecOptions): void {
  if (options.registries !== undefined && options.registries.length > 0) {
    throw unsupported('setup.registries', 'Leave them out');
  }
  if (!hasNetwork(record.network, options.network ?? 'none')) {
    throw terminal(
      FailureType.Invariant,
      `sandbox ${id} was made with network ${JSON.stringify(record.network)}, not ${JSON.stringify(options.network)}: on Modal that is settled when it is made (SandboxSpec.network)`,
    );
  }
}

const unsupported = (what: string, remedy: string): Error =>
  terminal(
    FailureType.SandboxUnavailable,
    `sandboxes on Modal know no ${what}: the proxy that it needs is on the worker's host.`,
    `${remedy}, or set sandbox.provider to "local".`,
  );
