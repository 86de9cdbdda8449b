/** What one command uses of the network, and its sockets, which end with it. */
import type { Duplex } from 'node:stream';

export type NetworkLimits = {
  /** Connections at once. */
  connections: number;
  /** Bytes in both directions, all connections together. */
  bytes: number;
  /** A connection on which nothing moves for so long is closed. */
  idleMs: number;
  /** Of a request's line and headers. */
  headerBytes: number;
};

/** Of one command. */
export const NETWORK_LIMITS: NetworkLimits = {
  connections: 256,
  bytes: 16 * 1024 ** 3,
  idleMs: 5 * 60_000,
  headerBytes: 32 * 1024,
};

export class Account {
  readonly limits: NetworkLimits;
  readonly #sockets = new Set<Duplex>();
  readonly #onOverBytes: () => void;
  #bytes = 0;
  #closed = false;

  /** @param onOverBytes called once, when the limit is passed and all connections were closed. */
  constructor(limits: NetworkLimits, onOverBytes: () => void) {
    this.limits = limits;
    this.#onOverBytes = onOverBytes;
  }

  get isOverBytes(): boolean {
    return this.#bytes > this.limits.bytes;
  }

  /** Destroys it when the account is closed; at once when it is already. Its bytes are counted as they are read. */
  own(stream: Duplex): void {
    if (this.#closed) {
      stream.destroy();
      return;
    }
    this.#sockets.add(stream);
    stream.once('close', () => this.#sockets.delete(stream));
  }

  count(bytes: number): void {
    const before = this.isOverBytes;
    this.#bytes += bytes;
    if (before || !this.isOverBytes) return;
    this.#destroyAll();
    this.#onOverBytes();
  }

  close(): void {
    this.#closed = true;
    this.#destroyAll();
  }

  #destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
