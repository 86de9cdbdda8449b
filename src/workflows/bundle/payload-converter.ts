/**
 * The converter inside workflows (`payloadConverterPath` of their bundle). Anyone may send a payload that cannot be
 * read, and what a converter throws fails the workflow task, which is retried for ever: so this one never throws. An
 * `Undecodable` stands where the value would; the interceptors of `undecodable.ts` decide what becomes of it.
 */
import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';

/** In place of a value: why there is none. */
export class Undecodable {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

export const payloadConverter: PayloadConverter = {
  toPayload: (value, context, hint) => defaultPayloadConverter.toPayload(value, context, hint),
  fromPayload(payload, context, hint) {
    try {
      return defaultPayloadConverter.fromPayload(payload, context, hint);
    } catch (error) {
      return new Undecodable(
        `${describe(payload)}: ${error instanceof Error ? error.message : String(error)}`,
      ) as never;
    }
  },
};

function describe({ metadata, data }: Payload): string {
  const encoding = metadata?.['encoding'];
  const name = encoding == null ? 'no encoding' : `encoding "${String.fromCharCode(...encoding.slice(0, 100))}"`;
  return `${name}, ${data?.length ?? 0} bytes`;
}
