/** Creates, finds, lists and terminates sandboxes through Modal's SDK. */
import { createHash } from 'node:crypto';
import type { Sandbox } from 'modal';
import type { ModalConfig } from '../../../shared/config/worker-config.ts';
import type { ModalConnection } from './connection.ts';
import { statusOf } from './errors.ts';
import type { ModalNetwork } from './network.ts';
import { isSandboxId } from './records.ts';

/** Tags by which leftover sandboxes are found, even when this host has lost its records. */
const OWNER = 'agentswarm-owner';
const ID = 'agentswarm-id';
const CREATED = 'agentswarm-created';

type RemoteSpec = { id: string; network: ModalNetwork; createdAt: number };

export interface Remotes {
  /**
   * @param spec.createdAt ms since the epoch.
   * @returns Modal's own id of the sandbox.
   * @throws the SDK's error; its status is ALREADY_EXISTS when a sandbox of that id runs in the app.
   */
  create(spec: RemoteSpec): Promise<string>;
  /** This process has one handle for each sandbox, which holds the connection to the machine that runs it. */
  handle(sandboxId: string): Promise<Sandbox>;
  isRunning(sandboxId: string): Promise<boolean>;
  /** Modal's own id of the sandbox that runs in the app under this id, whichever host made it. */
  findByName(id: string): Promise<string | undefined>;
  /** A sandbox that has ended, or never existed, is no error. */
  terminate(sandboxId: string): Promise<void>;
  /**
   * The ids of this owner's running sandboxes.
   * @param known gives the id of a sandbox where this host has a record of it, so that Modal is not asked for its tags.
   */
  list(known: (sandboxId: string) => Promise<string | undefined>): Promise<string[]>;
  /** In ms since the epoch; undefined when no sandbox of that id runs. */
  createdAt(id: string): Promise<number | undefined>;
}

export const createRemotes = (options: { modal: ModalConnection; config: ModalConfig; owner: string }): Remotes =>
  new ModalRemotes(options);

class ModalRemotes implements Remotes {
  private readonly modal: ModalConnection;
  private readonly config: ModalConfig;
  private readonly ownerTags: Record<string, string>;
  private readonly handles = new Map<string, Sandbox>();

  constructor(options: { modal: ModalConnection; config: ModalConfig; owner: string }) {
    this.modal = options.modal;
    this.config = options.config;
    // Modal allows only short, plain values in tags, and the name of a task queue need not be one.
    this.ownerTags = { [OWNER]: createHash('sha256').update(options.owner).digest('hex').slice(0, 32) };
  }

  async create({ id, network, createdAt }: RemoteSpec): Promise<string> {
    const { config, modal } = this;
    const image = await modal.image();
    const sandbox = await modal.client.sandboxes.create(modal.app, image, {
      name: id,
      tags: { ...this.ownerTags, [ID]: id, [CREATED]: String(createdAt) },
      command: ['sleep', 'infinity'],
      workdir: '/',
      ...network,
      timeoutMs: config.lifetimeHours * 3_600_000,
      idleTimeoutMs: config.idleMinutes * 60_000,
      cpu: config.cpu,
      cpuLimit: config.cpu,
      memoryMiB: config.memoryMb,
      memoryLimitMiB: config.memoryMb,
      ...(config.regions.length === 0 ? {} : { regions: config.regions }),
    });
    this.handles.set(sandbox.sandboxId, sandbox);
    return sandbox.sandboxId;
  }

  async handle(sandboxId: string): Promise<Sandbox> {
    const known = this.handles.get(sandboxId);
    if (known !== undefined) return known;
    const sandbox = await this.modal.client.sandboxes.fromId(sandboxId);
    this.handles.set(sandboxId, sandbox);
    return sandbox;
  }

  async isRunning(sandboxId: string): Promise<boolean> {
    try {
      return (await (await this.handle(sandboxId)).poll()) === null;
    } catch (error) {
      if (statusOf(error) === 'NOT_FOUND') return false;
      throw error;
    }
  }

  async findByName(id: string): Promise<string | undefined> {
    const { app, environment } = this.config;
    try {
      const sandbox = await this.modal.client.sandboxes.fromName(
        app,
        id,
        environment === undefined ? {} : { environment },
      );
      return sandbox.sandboxId;
    } catch (error) {
      if (statusOf(error) === 'NOT_FOUND') return undefined;
      throw error;
    }
  }

  async terminate(sandboxId: string): Promise<void> {
    const sandbox = await this.handle(sandboxId);
    try {
      await sandbox.terminate();
    } catch (error) {
      const status = statusOf(error);
      if (status !== 'NOT_FOUND' && status !== 'FAILED_PRECONDITION') throw error;
    }
    sandbox.detach();
    this.handles.delete(sandboxId);
  }

  async list(known: (sandboxId: string) => Promise<string | undefined>): Promise<string[]> {
    const { client, app } = this.modal;
    const ids: string[] = [];
    for await (const sandbox of client.sandboxes.list({ appId: app.appId, tags: this.ownerTags })) {
      const id = (await known(sandbox.sandboxId)) ?? (await sandbox.getTags())[ID];
      if (id !== undefined && isSandboxId(id)) ids.push(id);
    }
    return ids;
  }

  async createdAt(id: string): Promise<number | undefined> {
    const sandboxId = await this.findByName(id);
    if (sandboxId === undefined) return undefined;
    const createdAt = Number((await (await this.handle(sandboxId)).getTags())[CREATED]);
    return Number.isFinite(createdAt) ? createdAt : undefined;
  }
}
