/** A key that cannot be printed by accident. Only `reveal` gives it, and only providers call that. */
import { inspect } from 'node:util';

/** What keys of the usual providers look like; providers repeat parts of a wrong key in their errors. */
const KEY_LIKE = /\b(?:sk|pk|key|gsk|xai|pplx)-[A-Za-z0-9_*-]{6,}/g;

/** Shorter keys are placeholders of local servers, and would blank out ordinary words. */
const MIN_SECRET_LENGTH = 6;

export class ApiKey {
  readonly #value: string;
  /** Where it came from, as a person would name it: a variable, or a field of LLM_ENDPOINTS. */
  readonly source: string;

  constructor(value: string, source: string) {
    this.#value = value;
    this.source = source;
  }

  reveal(): string {
    return this.#value;
  }

  /** The text without this key, also not in base64 or URL-encoded, and without what looks like any key. */
  scrub(text: string): string {
    let clean = text;
    if (this.#value.length >= MIN_SECRET_LENGTH) {
      const base64 = Buffer.from(this.#value).toString('base64').replace(/=+$/, '');
      for (const form of [this.#value, encodeURIComponent(this.#value), base64]) {
        clean = clean.replaceAll(form, '[redacted]');
      }
    }
    return clean.replace(KEY_LIKE, '[redacted]');
  }

  toString(): string {
    return `[key from ${this.source}]`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }
}
