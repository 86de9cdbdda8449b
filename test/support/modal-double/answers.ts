/** How the double answers: what it was asked is kept, faults that were ordered come first, logins are checked. */
import { type handleUnaryCall, Metadata, type ServerUnaryCall, status } from '@grpc/grpc-js';
import type { Message } from './wire.ts';

/** What is answered instead. For a stream: after so many bytes of it. */
export type Fault = { code: status; details?: string; afterBytes?: number; times?: number };

export class Refusal extends Error {
  readonly code: status;
  constructor(code: status, details: string) {
    super(details);
    this.code = code;
  }
}

export class Answers {
  /** Every request as it came, with its metadata. */
  readonly calls: { method: string; request: Message; metadata: Record<string, string> }[] = [];
  private readonly faults = new Map<string, Fault & { times: number }>();
  private readonly token: { id: string; secret: string };

  constructor(token: { id: string; secret: string }) {
    this.token = token;
  }

  failNext(method: string, fault: Fault): void {
    this.faults.set(method, { times: 1, ...fault });
  }

  unary(
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

  record(method: string, request: Message, metadata: Metadata): void {
    const values = Object.entries(metadata.getMap()).map(([name, value]) => [name, String(value)]);
    this.calls.push({ method, request, metadata: Object.fromEntries(values) as Record<string, string> });
  }

  takeFault(method: string): Fault | undefined {
    const fault = this.faults.get(method);
    if (fault === undefined) return undefined;
    fault.times -= 1;
    if (fault.times <= 0) this.faults.delete(method);
    return fault;
  }

  authenticate(metadata: Metadata, method: string): void {
    const [id, secret] = [metadata.get('x-modal-token-id')[0], metadata.get('x-modal-token-secret')[0]];
    if (id !== this.token.id || secret !== this.token.secret) {
      throw new Refusal(status.UNAUTHENTICATED, 'Token ID is malformed or unknown');
    }
    if (method !== 'AuthTokenGet' && metadata.get('x-modal-auth-token').length === 0) {
      throw new Refusal(status.UNAUTHENTICATED, 'x-modal-auth-token is missing');
    }
  }
}

export function asStatus(error: unknown): { code: status; details: string; metadata: Metadata } {
  const details = error instanceof Error ? error.message : String(error);
  return { code: error instanceof Refusal ? error.code : status.INTERNAL, details, metadata: new Metadata() };
}
