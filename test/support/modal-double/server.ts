/** A Modal of one's own on loopback: the control plane and the command router that its real SDK talks to. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js';
import { Container } from './container.ts';
import { Exec } from './execs.ts';
import { clientService, type Message, routerService } from './wire.ts';

/** What is answered instead. For a stream: after so many bytes of it. */
export type Fault = { code: status; details?: string; afterBytes?: number; times?: number };

type StdioCall = ServerWritableStream<Message, Message>;
type Tag = { tagName: string; tagValue: string };
type Definition = {
  entrypointArgs: string[];
  imageId: string;
  secretIds: string[];
  resources: { memoryMb: number; milliCpu: number; memoryMbMax: number; milliCpuMax: number };
  timeoutSecs: number;
  idleTimeoutSecs?: number;
  name?: string;
  networkAccess: { networkAccessType: number };
  schedulerPlacement?: { regions: string[] };
};
type DoubleSandbox = {
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

const BLOCKED = 2;
const TERMINATED = 3;

class Refusal extends Error {
  readonly code: status;
  constructor(code: status, details: string) {
    super(details);
    this.code = code;
  }
}

export class ModalDouble {
  /** Every request as it came, with its metadata. */
  readonly calls: { method: string; request: Message; metadata: Record<string, string> }[] = [];
  readonly sandboxes = new Map<string, DoubleSandbox>();
  /** So long a token for the command router is taken. */
  jwtSeconds = 3_600;
  private readonly faults = new Map<string, Fault & { times: number }>();
  private readonly token: { id: string; secret: string };
  private readonly dir: string;
  private readonly server = new Server({
    'grpc.max_receive_message_length': 100 * 1024 * 1024,
    'grpc.max_send_message_length': 100 * 1024 * 1024,
  });
  private readonly images = new Set<string>();
  private port = 0;

  private constructor(dir: string, token: { id: string; secret: string }) {
    this.dir = dir;
    this.token = token;
  }

  /** @param dir absolute; the file systems of its sandboxes are below it. */
  static async start(dir: string, token: { id: string; secret: string }): Promise<ModalDouble> {
    const double = new ModalDouble(dir, token);
    double.server.addService(clientService(), double.controlPlane());
    double.server.addService(routerService(), double.router());
    double.port = await new Promise<number>((resolve, reject) => {
      double.server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    return double;
  }

  /** For MODAL_SERVER_URL. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The next `times` (default 1) calls of a method are answered so. */
  failNext(method: string, fault: Fault): void {
    this.faults.set(method, { times: 1, ...fault });
  }

  requests(method: string): Message[] {
    return this.calls.filter((call) => call.method === method).map(({ request }) => request);
  }

  named(name: string): DoubleSandbox {
    const found = [...this.sandboxes.values()].find(({ definition }) => definition.name === name);
    if (found === undefined) throw new Error(`no sandbox was ever named ${name}`);
    return found;
  }

  /** As when Modal ends a sandbox by itself: its time is up, its machine is lost. */
  async end(sandbox: DoubleSandbox): Promise<void> {
    if (sandbox.result !== undefined) return;
    sandbox.result = { status: TERMINATED, exitcode: 137 };
    await sandbox.container.stop();
    for (const exec of sandbox.execs.values()) exec.kill();
  }

  /** Tokens for the command router that were given so far are not taken any more. */
  expireTokens(): void {
    for (const sandbox of this.sandboxes.values()) sandbox.jwt = '';
  }

  async close(): Promise<void> {
    for (const sandbox of this.sandboxes.values()) await this.end(sandbox);
    this.server.forceShutdown();
    rmSync(this.dir, { recursive: true, force: true });
  }

  private controlPlane(): Record<string, handleUnaryCall<Message, Message>> {
    const unary = (method: string, answer: (request: Message) => Message | Promise<Message>) => ({
      [method]: this.unary(method, (request, call) => {
        this.authenticate(call.metadata, method);
        return answer(request);
      }),
    });
    return {
      ...unary('AuthTokenGet', () => ({ token: jwt(1_200) })),
      ...unary('EnvironmentGetOrCreate', () => ({
        environmentId: 'en-1',
        metadata: { name: 'main', settings: { imageBuilderVersion: '2025.06' } },
      })),
      ...unary('AppGetOrCreate', ({ appName }) => ({ appId: `ap-${String(appName)}` })),
      ...unary('ImageGetOrCreate', ({ image }) => {
        const imageId = `im-${(image as { dockerfileCommands: string[] }).dockerfileCommands.length}`;
        this.images.add(imageId);
        return { imageId, result: { status: 1 } };
      }),
      ...unary('ImageFromId', ({ imageId }) => {
        if (!this.images.has(String(imageId)))
          throw new Refusal(status.NOT_FOUND, `Image ${String(imageId)} not found`);
        return { imageId };
      }),
      ...unary('SandboxCreateV2', (request) => this.create(request)),
      ...unary('SandboxListV2', (request) => this.list(request)),
      ...unary('SandboxTagsGetV2', ({ sandboxId }) => ({ tags: this.sandbox(sandboxId).tags })),
      ...unary('SandboxTerminateV2', async ({ sandboxId }) => {
        await this.end(this.sandbox(sandboxId));
        return {};
      }),
      ...unary('SandboxWaitV2', ({ sandboxId }) => {
        const { result } = this.sandbox(sandboxId);
        return result === undefined ? {} : { result };
      }),
      ...unary('SandboxGetTaskIdV2', ({ sandboxId }) => {
        const { taskId, result } = this.sandbox(sandboxId);
        return result === undefined ? { taskId } : { taskResult: result };
      }),
      ...unary('SandboxGetFromNameV2', ({ sandboxName, appName }) => {
        const found = this.running().find(
          ({ appId, definition }) => definition.name === sandboxName && appId === `ap-${String(appName)}`,
        );
        if (found === undefined) throw new Refusal(status.NOT_FOUND, `no sandbox named ${String(sandboxName)}`);
        return { sandboxId: found.id };
      }),
      ...unary('SandboxGetFromName', ({ sandboxName }) => {
        throw new Refusal(status.NOT_FOUND, `no sandbox named ${String(sandboxName)}`);
      }),
      ...unary('SandboxGetCommandRouterAccess', ({ sandboxId }) => this.access(this.sandbox(sandboxId))),
    };
  }

  private router(): Record<string, handleUnaryCall<Message, Message> | handleServerStreamingCall<Message, Message>> {
    const unary = (
      method: string,
      answer: (request: Message, sandbox: DoubleSandbox) => Message | Promise<Message>,
    ) => ({
      [method]: this.unary(method, (request, call) => answer(request, this.task(request, call.metadata))),
    });
    return {
      ...unary('TaskExecStart', (request, sandbox) => this.execStart(request, sandbox)),
      ...unary('TaskExecStdinWrite', async (request, sandbox) => {
        const { offset, data, eof } = request as { offset: number; data: Buffer; eof: boolean };
        await exec(sandbox, request).write(offset, Buffer.from(data), eof);
        return {};
      }),
      ...unary('TaskExecWait', async (request, sandbox) => await exec(sandbox, request).exited),
      ...unary('TaskSnapshotDirectory', ({ path, snapshotId }, sandbox) => {
        const imageId = `im-${String(snapshotId)}`;
        mkdirSync(join(this.dir, 'images'), { recursive: true });
        sandbox.container.copyOut(String(path), join(this.dir, 'images', imageId));
        this.images.add(imageId);
        return { imageId };
      }),
      ...unary('TaskMountDirectory', ({ path, imageId }, sandbox) => {
        const from = join(this.dir, 'images', String(imageId));
        if (!existsSync(from)) throw new Refusal(status.NOT_FOUND, `Image ${String(imageId)} not found`);
        sandbox.container.copyIn(from, String(path));
        return {};
      }),
      ...unary('TaskUnmountDirectory', ({ path }, sandbox) => {
        sandbox.container.empty(String(path));
        return {};
      }),
      TaskExecStdioRead: (call: StdioCall) => {
        const { request } = call;
        this.record('TaskExecStdioRead', request, call.metadata);
        void this.stream(call).catch((error: unknown) => call.emit('error', asStatus(error)));
      },
    };
  }

  private async stream(call: StdioCall): Promise<void> {
    const { request } = call;
    const fault = this.takeFault('TaskExecStdioRead');
    const sandbox = this.task(request, call.metadata);
    const { offset, fileDescriptor } = request as { offset: number; fileDescriptor: number };
    let left = fault?.afterBytes ?? 0;
    for await (const data of exec(sandbox, request).read(fileDescriptor, offset)) {
      if (call.cancelled) return;
      const part = fault === undefined ? data : data.subarray(0, left);
      left -= part.length;
      if (part.length > 0 && !call.write({ data: part })) await new Promise((resolve) => call.once('drain', resolve));
      if (fault !== undefined && left <= 0)
        throw new Refusal(fault.code, fault.details ?? 'a fault that was asked for');
    }
    if (fault !== undefined) throw new Refusal(fault.code, fault.details ?? 'a fault that was asked for');
    if (sandbox.result !== undefined) throw new Refusal(status.NOT_FOUND, 'the task has ended');
    call.end();
  }

  private unary(
    method: string,
    answer: (request: Message, call: ServerUnaryCall<Message, Message>) => Message | Promise<Message>,
  ): handleUnaryCall<Message, Message> {
    return (call, done) => {
      this.record(method, call.request, call.metadata);
      const run = async () => {
        const fault = this.takeFault(method);
        if (fault !== undefined) throw new Refusal(fault.code, fault.details ?? 'a fault that was asked for');
        return await answer(call.request, call);
      };
      run().then(
        (value) => done(null, value),
        (error: unknown) => done(asStatus(error)),
      );
    };
  }

  private record(method: string, request: Message, metadata: Metadata): void {
    const values = Object.entries(metadata.getMap()).map(([name, value]) => [name, String(value)]);
    this.calls.push({ method, request, metadata: Object.fromEntries(values) as Record<string, string> });
  }

  private takeFault(method: string): Fault | undefined {
    const fault = this.faults.get(method);
    if (fault === undefined) return undefined;
    fault.times -= 1;
    if (fault.times <= 0) this.faults.delete(method);
    return fault;
  }

  private authenticate(metadata: Metadata, method: string): void {
    const [id, secret] = [metadata.get('x-modal-token-id')[0], metadata.get('x-modal-token-secret')[0]];
    if (id !== this.token.id || secret !== this.token.secret) {
      throw new Refusal(status.UNAUTHENTICATED, 'Token ID is malformed or unknown');
    }
    if (method !== 'AuthTokenGet' && metadata.get('x-modal-auth-token').length === 0) {
      throw new Refusal(status.UNAUTHENTICATED, 'x-modal-auth-token is missing');
    }
  }

  private async create(request: Message): Promise<Message> {
    const { appId, tags, definition } = request as { appId: string; tags: Tag[]; definition: Definition };
    const { name } = definition;
    if (this.running().some((each) => each.appId === appId && each.definition.name === name)) {
      throw new Refusal(status.ALREADY_EXISTS, `Sandbox with name '${name}' already exists`);
    }
    const id = `sb-${randomUUID()}`;
    const container = await Container.start({
      dir: join(this.dir, 'sandboxes', id),
      command: definition.entrypointArgs,
      network: definition.networkAccess.networkAccessType !== BLOCKED,
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

  private list(request: Message): Message {
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

  private execStart(request: Message, sandbox: DoubleSandbox): Message {
    const { execId, commandArgs, workdir, timeoutSecs } = request as {
      execId: string;
      commandArgs: string[];
      workdir?: string;
      timeoutSecs?: number;
    };
    // A client that had no answer asks again.
    if (sandbox.execs.has(execId)) return {};
    const env = { MODAL_SANDBOX_ID: sandbox.id, MODAL_TASK_ID: sandbox.taskId, IMAGE_SAYS: 'hello' };
    const child = sandbox.container.spawn(commandArgs, { cwd: workdir || '/', env });
    sandbox.execs.set(execId, new Exec(child, timeoutSecs === 0 ? undefined : timeoutSecs));
    return {};
  }

  private running(): DoubleSandbox[] {
    return [...this.sandboxes.values()].filter(({ result }) => result === undefined);
  }

  private sandbox(id: unknown): DoubleSandbox {
    const sandbox = this.sandboxes.get(String(id));
    if (sandbox === undefined) throw new Refusal(status.NOT_FOUND, `Sandbox ${String(id)} not found`);
    return sandbox;
  }

  private task(request: Message, metadata: Metadata): DoubleSandbox {
    const sandbox = [...this.sandboxes.values()].find(({ taskId }) => taskId === request.taskId);
    if (sandbox === undefined || sandbox.result !== undefined) {
      throw new Refusal(status.NOT_FOUND, `Task ${String(request.taskId)} not found`);
    }
    const given = String(metadata.get('authorization')[0] ?? '');
    if (given !== `Bearer ${sandbox.jwt}`) throw new Refusal(status.UNAUTHENTICATED, 'the token is not valid');
    return sandbox;
  }

  private access(sandbox: DoubleSandbox): Message {
    if (sandbox.result !== undefined) throw new Refusal(status.NOT_FOUND, `Sandbox ${sandbox.id} has ended`);
    sandbox.jwt = jwt(this.jwtSeconds);
    return { jwt: sandbox.jwt, url: `https://127.0.0.1:${this.port}` };
  }
}

function exec(sandbox: DoubleSandbox, { execId }: Message): Exec {
  const found = sandbox.execs.get(String(execId));
  if (found === undefined) throw new Refusal(status.NOT_FOUND, `Exec ${String(execId)} not found`);
  return found;
}

function asStatus(error: unknown): { code: status; details: string; metadata: Metadata } {
  const details = error instanceof Error ? error.message : String(error);
  return { code: error instanceof Refusal ? error.code : status.INTERNAL, details, metadata: new Metadata() };
}

/** Only its `exp` is looked at. */
function jwt(seconds: number): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { exp: Math.floor(Date.now() / 1_000) + seconds, jti: randomUUID() };
  return [part({ alg: 'none' }), part(claims), 'signature'].join('.');
}
