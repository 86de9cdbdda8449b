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

export const printLine = (to: { write(text: string): unknown }, line: string): void => void to.write(`${line}\n`);
