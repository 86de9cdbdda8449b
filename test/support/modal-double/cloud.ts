/** What the double has: sandboxes, each with its container and commands, and images. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type Metadata, status } from '@grpc/grpc-js';
import { Refusal } from './answers.ts';
import { Container } from './container.ts';
import type { Exec } from './execs.ts';
import type { Message } from './wire.ts';

type Tag = { tagName: string; tagValue: string };
type Definition = {
  entrypointArgs: string[];
  imageId: string;
  secretIds: string[];
  resources: { memoryMb: number; milliCpu: number; memoryMbMax: number; milliCpuMax: number };
  timeoutSecs: number;
  idleTimeoutSecs?: number;
  name?: string;
  networkAccess: { networkAccessType: number; allowedCidrs: string[]; allowedDomains: string[] };
  schedulerPlacement?: { regions: string[] };
};
export type DoubleSandbox = {
  id: string;
  taskId: string;
  appId: string;
  tags: Tag[];
  createdAt: number;
  definition: Definition;
  container: Container;
  execs: Map<string, Exec>;
  jwt: string;
  result?: { status: number; exitcode: number };
};

const OPEN = 1;
const TERMINATED = 3;

export class Cloud {
  readonly sandboxes = new Map<string, DoubleSandbox>();
  readonly images = new Set<string>();
  readonly apps = new Set<string>();
  readonly dir: string;
  /** Of the command router. */
  url = '';
  /** So long a token for the command router is taken. */
  jwtSeconds = 3_600;

  /** @param dir absolute; the file systems of its sandboxes are below it. */
  constructor(dir: string) {
    this.dir = dir;
  }

  /** As when Modal ends a sandbox by itself: its time is up, its machine is lost. */
  async end(sandbox: DoubleSandbox): Promise<void> {
    if (sandbox.result !== undefined) return;
    sandbox.result = { status: TERMINATED, exitcode: 137 };
    await sandbox.container.stop();
    for (const exec of sandbox.execs.values()) exec.kill();
  }

  async create(request: Message): Promise<Message> {
    const { appId, tags, definition } = request as { appId: string; tags: Tag[]; definition: Definition };
    const { name } = definition;
    if (this.running().some((each) => each.appId === appId && each.definition.name === name)) {
      throw new Refusal(status.ALREADY_EXISTS, `Sandbox with name '${name}' already exists`);
    }
    const id = `sb-${randomUUID()}`;
    const container = await Container.start({
      dir: join(this.dir, 'sandboxes', id),
      command: definition.entrypointArgs,
      // What is on a list of names cannot be told apart here: nothing is reached then.
      network: definition.networkAccess.networkAccessType === OPEN,
    });
    const taskId = `ta-${randomUUID()}`;
    const sandbox: DoubleSandbox = {
      ...{ id, taskId, appId, tags, definition, container },
      execs: new Map(),
      createdAt: Date.now() / 1_000,
      jwt: '',
    };
    this.sandboxes.set(id, sandbox);
    return { sandboxId: id, taskId, commandRouterAccess: this.access(sandbox) };
  }

  list(request: Message): Message {
    const { appId, tags, beforeTimestamp } = request as { appId: string; tags: Tag[]; beforeTimestamp?: number };
    const sandboxes = this.running()
      .filter((each) => each.appId === appId && (!beforeTimestamp || each.createdAt < beforeTimestamp))
      .filter((each) =>
        tags.every((tag) => each.tags.some((own) => own.tagName === tag.tagName && own.tagValue === tag.tagValue)),
      )
      .toSorted((a, b) => b.createdAt - a.createdAt)
      .slice(0, 3);
    return { sandboxes: sandboxes.map(({ id, createdAt }) => ({ id, createdAt })) };
  }

  running(): DoubleSandbox[] {
    return [...this.sandboxes.values()].filter(({ result }) => result === undefined);
  }

  sandbox(id: unknown): DoubleSandbox {
    const sandbox = this.sandboxes.get(String(id));
    if (sandbox === undefined) throw new Refusal(status.NOT_FOUND, `Sandbox ${String(id)} not found`);
    return sandbox;
  }

  task(request: Message, metadata: Metadata): DoubleSandbox {
    const sandbox = [...this.sandboxes.values()].find(({ taskId }) => taskId === request.taskId);
    if (sandbox === undefined || sandbox.result !== undefined) {
      throw new Refusal(status.NOT_FOUND, `Task ${String(request.taskId)} not found`);
    }
    const given = String(metadata.get('authorization')[0] ?? '');
    if (given !== `Bearer ${sandbox.jwt}`) throw new Refusal(status.UNAUTHENTICATED, 'the token is not valid');
    return sandbox;
  }

  access(sandbox: DoubleSandbox): Message {
    if (sandbox.result !== undefined) throw new Refusal(status.NOT_FOUND, `Sandbox ${sandbox.id} has ended`);
    sandbox.jwt = jwt(this.jwtSeconds);
    return { jwt: sandbox.jwt, url: this.url };
  }
}

/** Only its `exp` is looked at. */
export function jwt(seconds: number): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { exp: Math.floor(Date.now() / 1_000) + seconds, jti: randomUUID() };
  return [part({ alg: 'none' }), part(claims), 'signature'].join('.');
}
