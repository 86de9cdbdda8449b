/** The sandboxes as Modal has them: made, found, listed and ended through its SDK. */
import { createHash } from 'node:crypto';
import type { Sandbox } from 'modal';
import type { ModalConfig } from '../../../shared/config/worker-config.ts';
import type { ModalConnection } from './connection.ts';
import { statusOf } from './errors.ts';
import type { ModalNetwork } from './network.ts';
import { isSandboxId } from './records.ts';

/** Tags by which leftovers are found, whatever became of this host's records. */
const OWNER = 'agentswarm-owner';
const ID = 'agentswarm-id';
const CREATED = 'agentswarm-created';

export interface Remotes {
  /** Returns Modal's id. @throws the SDK's error; ALREADY_EXISTS when the app has one of that id running. */
  create(spec: { id: string; network: ModalNetwork; createdAt: number }): Promise<string>;
  /** The one handle on a sandbox in this process: it holds the connection to the machine that runs it. */
  handle(sandboxId: string): Promise<Sandbox>;
  isRunning(sandboxId: string): Promise<boolean>;
  /** Modal's id of the sandbox of that id which runs in the app, whoever made it. */
  findByName(id: string): Promise<string | undefined>;
  /** One that has ended or was never there is no error. */
  terminate(sandboxId: string): Promise<void>;
  /** Ids of this owner's that run. @param known an id that need not be asked for. */
  list(known: (sandboxId: string) => Promise<string | undefined>): Promise<string[]>;
  createdAt(id: string): Promise<number | undefined>;
}

export function createRemotes(options: { modal: ModalConnection; config: ModalConfig; owner: string }): Remotes {
  const { modal, config, owner } = options;
  const { client, app } = modal;
  const handles = new Map<string, Sandbox>();
  // Values of tags are short and plain; the name of a queue need not be.
  const tagged = { [OWNER]: createHash('sha256').update(owner).digest('hex').slice(0, 32) };

  async function find(sandboxId: string): Promise<Sandbox> {
    const known = handles.get(sandboxId);
    if (known !== undefined) return known;
    const sandbox = await client.sandboxes.fromId(sandboxId);
    handles.set(sandboxId, sandbox);
    return sandbox;
  }

  return {
    async create({ id, network, createdAt }) {
      const image = await modal.image();
      const sandbox = await client.sandboxes.create(app, image, {
        name: id,
        tags: { ...tagged, [ID]: id, [CREATED]: String(createdAt) },
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
      handles.set(sandbox.sandboxId, sandbox);
      return sandbox.sandboxId;
    },

    handle: find,

    async isRunning(sandboxId) {
      try {
        return (await (await find(sandboxId)).poll()) === null;
      } catch (error) {
        if (statusOf(error) === 'NOT_FOUND') return false;
        throw error;
      }
    },

    async findByName(id) {
      try {
        return (await client.sandboxes.fromName(config.app, id, environment(config))).sandboxId;
      } catch (error) {
        if (statusOf(error) === 'NOT_FOUND') return undefined;
        throw error;
      }
    },

    async terminate(sandboxId) {
      const sandbox = await find(sandboxId);
      try {
        await sandbox.terminate();
      } catch (error) {
        const status = statusOf(error);
        if (status !== 'NOT_FOUND' && status !== 'FAILED_PRECONDITION') throw error;
      }
      sandbox.detach();
      handles.delete(sandboxId);
    },

    async list(known) {
      const ids: string[] = [];
      for await (const sandbox of client.sandboxes.list({ appId: app.appId, tags: tagged })) {
        const id = (await known(sandbox.sandboxId)) ?? (await sandbox.getTags())[ID];
        if (id !== undefined && isSandboxId(id)) ids.push(id);
      }
      return ids;
    },

    async createdAt(id) {
      const sandboxId = await this.findByName(id);
      if (sandboxId === undefined) return undefined;
      const at = Number((await (await find(sandboxId)).getTags())[CREATED]);
      return Number.isFinite(at) ? at : undefined;
    },
  };
}

const environment = (config: ModalConfig) =>
  config.environment === undefined ? {} : { environment: config.environment };
