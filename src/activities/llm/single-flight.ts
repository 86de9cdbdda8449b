/**
 * One call in flight per question and process, whoever asks again: a retry of an activity whose first attempt is
 * still at it joins that attempt's call. Answers are kept for an hour, for retries whose completion was lost; that a
 * question was refused for a moment, as whoever makes it part of a larger step asks it by itself next.
 */
import { LRUCache } from 'lru-cache';
import { FailureType, failureTypeOf } from '../../shared/base/failures.ts';

const KEEP_MS = 3_600_000;
const KEEP_REFUSAL_MS = 30_000;
const MAX_KEPT = 2_000;

export interface Flight {
  /** Aborted when someone asked for the work to be cancelled: the provider's call ends at once. */
  readonly cancelled: AbortSignal;
  /** Aborted when nobody waits any more: what is on the wire is finished, nothing new is begun. */
  readonly abandoned: AbortSignal;
  /** What it is doing, for heartbeats. */
  status: string;
  /** Since when it has no model to ask, ms since the epoch. */
  waitingSince: number | undefined;
}

export class Ticket<T> {
  readonly answer: Promise<T>;
  readonly #entry: Entry<T>;
  #holds = true;

  constructor(entry: Entry<T>) {
    this.#entry = entry;
    this.answer = entry.answer;
    entry.holders++;
  }

  get status(): string {
    return this.#entry.flight.status;
  }

  get waitingSince(): number | undefined {
    return this.#entry.flight.waitingSince;
  }

  /** For all that share the flight: they are attempts of one activity. */
  cancel(reason: Error): void {
    this.#entry.cancelled.abort(reason);
    this.release(reason);
  }

  /** This attempt no longer counts: its worker stops, or the server has given it up. May be called again. */
  release(reason: Error): void {
    if (!this.#holds) return;
    this.#holds = false;
    this.#entry.holders--;
    if (this.#entry.holders === 0) this.#entry.abandoned.abort(reason);
  }
}

async function takeOver<T>(from: Entry<T>, flight: Flight, begin: (flight: Flight) => Promise<T>): Promise<T> {
  flight.status = 'waiting for the call of an earlier attempt';
  const pass = (): void => from.cancelled.abort(flight.cancelled.reason);
  flight.cancelled.addEventListener('abort', pass, { once: true });
  try {
    return await from.answer;
  } catch {
    // Whatever became of it is its own attempt's matter: this one asks for itself, unless it was cancelled.
    flight.cancelled.throwIfAborted();
    return await begin(flight);
  } finally {
    flight.cancelled.removeEventListener('abort', pass);
  }
}

type Entry<T> = {
  answer: Promise<T>;
  flight: Flight;
  cancelled: AbortController;
  abandoned: AbortController;
  holders: number;
};

export class Flights<T> {
  readonly #open = new Map<string, Entry<T>>();
  readonly #settled = new LRUCache<string, Entry<T>>({ max: MAX_KEPT, ttl: KEEP_MS });

  /** Joins the flight of this key, takes its stored answer, or begins one. */
  join(key: string, begin: (flight: Flight) => Promise<T>): Ticket<T> {
    const settled = this.#settled.get(key);
    if (settled !== undefined) return new Ticket(settled);
    const open = this.#open.get(key);
    if (open === undefined) return new Ticket(this.#begin(key, begin));
    if (!open.abandoned.signal.aborted) return new Ticket(open);
    // An abandoned one finishes what is on the wire and keeps that answer: it is waited for, not doubled.
    return new Ticket(this.#begin(key, (flight) => takeOver(open, flight, begin)));
  }

  #begin(key: string, begin: (flight: Flight) => Promise<T>): Entry<T> {
    const cancelled = new AbortController();
    const abandoned = new AbortController();
    const flight: Flight = {
      cancelled: cancelled.signal,
      abandoned: abandoned.signal,
      status: 'starting',
      waitingSince: undefined,
    };
    const entry: Entry<T> = { answer: begin(flight), flight, cancelled, abandoned, holders: 0 };
    this.#open.set(key, entry);
    const settle = (ttl: number | undefined, isKeptWhenSuperseded: boolean): void => {
      const isOpen = this.#open.get(key) === entry;
      if (isOpen) this.#open.delete(key);
      if (ttl !== undefined && (isOpen || isKeptWhenSuperseded)) this.#settled.set(key, entry, { ttl });
    };
    entry.answer.then(
      () => settle(KEEP_MS, true),
      // Where another flight has taken over, its answer counts, and not this refusal.
      (error: unknown) =>
        settle(failureTypeOf(error) === FailureType.RequestRefused ? KEEP_REFUSAL_MS : undefined, false),
    );
    return entry;
  }
}
