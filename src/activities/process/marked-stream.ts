/** Tells a command's output from the mark that is printed behind it. */
import type { OutputCollector } from './output.ts';

/** A stream that ends with a mark, which is not part of what is collected. */
export class MarkedStream {
  private held: Buffer = Buffer.alloc(0);
  private readonly mark: Buffer;
  private readonly collector: OutputCollector;
  private readonly onBytes: (bytes: number) => void;

  constructor(mark: Buffer, collector: OutputCollector, onBytes: (bytes: number) => void = () => undefined) {
    this.mark = mark;
    this.collector = collector;
    this.onBytes = onBytes;
  }

  get bytes(): number {
    return this.collector.bytes;
  }

  get marked(): boolean {
    return this.held.equals(this.mark);
  }

  push(chunk: Buffer): void {
    const all = this.held.length === 0 ? chunk : Buffer.concat([this.held, chunk]);
    const known = Math.max(0, all.length - this.mark.length);
    this.held = all.subarray(known);
    if (known > 0) this.collector.push(all.subarray(0, known));
    this.onBytes(this.collector.bytes);
  }

  end(): ReturnType<OutputCollector['end']> {
    if (!this.marked && this.held.length > 0) this.collector.push(this.held);
    return this.collector.end();
  }
}
