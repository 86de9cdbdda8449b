/** Collects a stream's head and tail in bounded memory, and the whole in a file once it is too long. */
import { closeSync, openSync, writeSync } from 'node:fs';

export class OutputCollector {
  bytes = 0;
  private chunks: Buffer[] = [];
  private head: Buffer | undefined;
  private tail: Buffer = Buffer.alloc(0);
  private fd: number | undefined;
  private readonly headBytes: number;
  private readonly tailBytes: number;
  private readonly file: string | undefined;

  constructor(options: { headBytes: number; tailBytes: number; file?: string }) {
    this.headBytes = options.headBytes;
    this.tailBytes = options.tailBytes;
    this.file = options.file;
  }

  push(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.head !== undefined) {
      this.write(chunk);
      this.keepTail(chunk);
      return;
    }
    this.chunks.push(chunk);
    if (this.bytes <= this.headBytes + this.tailBytes) return;
    const all = Buffer.concat(this.chunks);
    this.chunks = [];
    this.head = all.subarray(0, this.headBytes);
    if (this.file !== undefined) this.fd = openSync(this.file, 'w', 0o644);
    this.write(all);
    this.keepTail(all.subarray(this.headBytes));
  }

  end(): { head: Buffer; tail: Buffer; truncated: boolean } {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
    if (this.head === undefined) return { head: Buffer.concat(this.chunks), tail: Buffer.alloc(0), truncated: false };
    return { head: this.head, tail: this.tail, truncated: true };
  }

  private write(chunk: Buffer): void {
    if (this.fd !== undefined) writeSync(this.fd, chunk);
  }

  private keepTail(chunk: Buffer): void {
    if (this.tailBytes === 0) return;
    const joined = chunk.length >= this.tailBytes ? chunk : Buffer.concat([this.tail, chunk]);
    this.tail = Buffer.from(joined.subarray(Math.max(0, joined.length - this.tailBytes)));
  }
}
