/** Where a command reads and writes: the process's own, or a test's. */
import type { Screen } from '../dashboard/live.ts';

export type Io = {
  /** Results only: the report, JSON, lists. */
  stdout: { write(text: string): unknown };
  /** All that is said on the way. */
  stderr: Screen;
  cwd: string;
  env: NodeJS.ProcessEnv;
};

/** Ends the process once all that was written has gone out; what is still open (connections, polls) does not keep it. */
export async function exitWhenWritten(code: number): Promise<never> {
  const streams = [process.stdout, process.stderr].filter((stream) => stream.writable);
  await Promise.all(streams.map((stream) => new Promise((resolve) => stream.write('', resolve))));
  process.exit(code);
}

export const printLine = (to: { write(text: string): unknown }, line: string): void => void to.write(`${line}\n`);
