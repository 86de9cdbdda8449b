/** What was thrown, with the fields of our errors and of Temporal's to look at. */
export type Thrown = Error & {
  type?: string;
  nonRetryable?: boolean;
  kind?: string;
  argv?: readonly string[];
  output?: string;
};

/** Throws itself when the promise is fulfilled, or is rejected with something that is no Error. */
export async function thrownBy(promise: Promise<unknown>): Promise<Thrown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    value = error;
  }
  throw new Error(`an error was expected, not ${JSON.stringify(value)}`);
}
