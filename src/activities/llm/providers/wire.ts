/**
 * The wire below the SDKs. Their timeouts end at the headers, so silence is timed here, on every byte: also a
 * comment that a gateway sends to keep the connection alive counts. A second clock counts events of the answer only,
 * so that a connection that is kept alive and says nothing ends too. And what is no event stream is told apart
 * here, because the SDKs read a page of HTML as a stream without events.
 */
import { ProviderFailure } from '../failures.ts';

/** Longer than any model needs for one answer: a stream that drips for ever is given up. */
const MAX_CALL_MS = 30 * 60_000;

export type WireOptions = { name: string; idleMs: number; firstTokenMs: number; signal: AbortSignal };

export class Wire {
  /** When the request was sent, by performance.now(). */
  readonly startedAt = performance.now();
  readonly #controller = new AbortController();
  readonly #idleMs: number;
  readonly #firstTokenMs: number;
  readonly #name: string;
  readonly #outer: AbortSignal;
  readonly #silence: NodeJS.Timeout;
  readonly #standstill: NodeJS.Timeout;
  readonly #limit: NodeJS.Timeout;
  #closed = false;

  constructor(options: WireOptions) {
    this.#name = options.name;
    this.#idleMs = options.idleMs;
    this.#firstTokenMs = options.firstTokenMs;
    this.#outer = options.signal;
    if (this.#outer.aborted) this.#onOuterAbort();
    this.#outer.addEventListener('abort', this.#onOuterAbort);
    this.#limit = setTimeout(() => {
      this.#giveUp(`no end of the answer after ${MAX_CALL_MS / 60_000} minutes`);
    }, MAX_CALL_MS);
    this.#silence = setTimeout(() => this.#giveUp(`silent for ${this.#idleMs / 1_000} s`), this.#idleMs);
    this.#standstill = setTimeout(() => {
      this.#giveUp(`kept alive without a word of the answer for ${this.#firstTokenMs / 1_000} s`);
    }, this.#firstTokenMs);
  }

  /** An event of the answer has been read. */
  progressed(): void {
    this.#standstill.refresh();
  }

  /** Give this to the SDK. Its reason is a ProviderFailure, or the reason of the caller's signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** For an SDK's `fetch` option: watches the bytes, and refuses what is no event stream. */
  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const response = await globalThis.fetch(input, init);
    this.#heard();
    if (response.body === null) return response;
    const type = response.headers.get('content-type') ?? '';
    if (response.ok && /\b(html|json)\b/i.test(type)) {
      const start = (await response.text()).slice(0, 200);
      throw new ProviderFailure('malformed', `${this.#name}: answered ${type}, no event stream: ${start}`);
    }
    const heard = (): void => this.#heard();
    const watched = response.body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(bytes, controller) {
          heard();
          controller.enqueue(bytes);
        },
      }),
    );
    return new Response(watched, {
      status: response.status,
      statusText: response.statusText,
      headers: response.headers,
    });
  };

  close(): void {
    clearTimeout(this.#silence);
    clearTimeout(this.#standstill);
    clearTimeout(this.#limit);
    this.#closed = true;
    this.#outer.removeEventListener('abort', this.#onOuterAbort);
  }

  #heard(): void {
    // refresh() of a timer that was cleared would start it again.
    if (!this.#closed) this.#silence.refresh();
  }

  #giveUp(why: string): void {
    this.#controller.abort(new ProviderFailure('unavailable', `${this.#name}: ${why}`));
  }

  readonly #onOuterAbort = (): void => this.#controller.abort(this.#outer.reason);
}

/** For requests that are not streamed: the SDKs take a page of HTML for an empty list. */
export const refusingHtml =
  (name: string): typeof globalThis.fetch =>
  async (input, init) => {
    const response = await globalThis.fetch(input, init);
    const type = response.headers.get('content-type') ?? '';
    if (!response.ok || !/\bhtml\b/i.test(type)) return response;
    throw new ProviderFailure('malformed', `${name}: answered ${type}: ${(await response.text()).slice(0, 200)}`);
  };

/** Runs one streamed request over a watched wire, and classifies whatever ends it. */
export async function overWire<T>(options: WireOptions, run: (wire: Wire) => Promise<T>): Promise<T> {
  const wire = new Wire(options);
  try {
    return await run(wire);
  } catch (error) {
    // The SDKs end a stream that was aborted as if it were complete: what the reader makes of that is not the cause.
    if (wire.signal.aborted) throw wire.signal.reason;
    throw error;
  } finally {
    wire.close();
  }
}
