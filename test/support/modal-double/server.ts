/** A Modal of one's own on loopback: the control plane and the command router that its real SDK talks to. */
import { rmSync } from 'node:fs';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { Answers, type Fault } from './answers.ts';
import { Cloud, type DoubleSandbox } from './cloud.ts';
import { controlPlane } from './control-plane.ts';
import { router } from './router.ts';
import { clientService, type Message, routerService } from './wire.ts';

export class ModalDouble {
  private readonly answers: Answers;
  private readonly cloud: Cloud;
  private readonly server = new Server({
    'grpc.max_receive_message_length': 100 * 1024 * 1024,
    'grpc.max_send_message_length': 100 * 1024 * 1024,
  });
  private port = 0;

  private constructor(dir: string, token: { id: string; secret: string }) {
    this.cloud = new Cloud(dir);
    this.answers = new Answers(token);
  }

  /** @param dir absolute; the file systems of its sandboxes are below it. */
  static async start(dir: string, token: { id: string; secret: string }): Promise<ModalDouble> {
    const double = new ModalDouble(dir, token);
    const { cloud, answers } = double;
    double.server.addService(clientService(), controlPlane(cloud, answers));
    double.server.addService(routerService(), router(cloud, answers));
    double.port = await new Promise<number>((resolve, reject) => {
      double.server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    cloud.url = `https://127.0.0.1:${double.port}`;
    return double;
  }

  /** For MODAL_SERVER_URL. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Every request as it came, with its metadata. */
  get calls(): Answers['calls'] {
    return this.answers.calls;
  }

  get sandboxes(): Cloud['sandboxes'] {
    return this.cloud.sandboxes;
  }

  /** So long a token for the command router is taken. */
  set jwtSeconds(seconds: number) {
    this.cloud.jwtSeconds = seconds;
  }

  /** The next `times` (default 1) calls of a method are answered so. */
  failNext(method: string, fault: Fault): void {
    this.answers.failNext(method, fault);
  }

  requests(method: string): Message[] {
    return this.calls.filter((call) => call.method === method).map(({ request }) => request);
  }

  named(name: string): DoubleSandbox {
    const found = [...this.sandboxes.values()].find(({ definition }) => definition.name === name);
    if (found === undefined) throw new Error(`no sandbox was ever named ${name}`);
    return found;
  }

  /** Ids of those that run, as we name them. */
  running(): string[] {
    return this.cloud.running().map(({ definition }) => definition.name ?? '');
  }

  /** As when Modal ends a sandbox by itself: its time is up, its machine is lost. */
  end(sandbox: DoubleSandbox): Promise<void> {
    return this.cloud.end(sandbox);
  }

  /** Tokens for the command router that were given so far are not taken any more. */
  expireTokens(): void {
    for (const sandbox of this.sandboxes.values()) sandbox.jwt = '';
  }

  async close(): Promise<void> {
    for (const sandbox of this.sandboxes.values()) await this.end(sandbox);
    this.server.forceShutdown();
    rmSync(this.cloud.dir, { recursive: true, force: true });
  }
}
