/**
 * Checks of one commit in a sandbox of its own: what is asked, and the verdict. What could not be run is no verdict
 * on the commit, whatever the reason.
 */
import { z } from 'zod';
import { Checks } from './check-settings.ts';
import { CommitSha } from '../base/ids.ts';
import { Setup } from './run-settings.ts';
import { RepositoryRef } from './run.ts';

export const ChecksRequest = z.object({
  repo: RepositoryRef,
  commit: CommitSha,
  /** Where the remote has it, when this host's mirror does not. */
  ref: z.string().min(1),
  /** What to run, in this order; `detect`: what the files of the commit show. */
  checks: z.union([Checks, z.literal('detect')]),
  setup: Setup.nullable(),
  /**
   * A commit that is known to be sound, if there is one: conflict markers that it has already are no errors, and a
   * `setup` that works there but not here is the commit's fault.
   */
  since: CommitSha.optional(),
  /** Stops after the first check that fails: enough for a verdict. */
  first: z.boolean().optional(),
});
export type ChecksRequest = z.infer<typeof ChecksRequest>;

/** One finding of a tool, as it said it. */
export const CheckError = z.object({
  /** Name of the check. */
  check: z.string(),
  /** Relative to the repository, where the tool named a file in it. */
  file: z.string().optional(),
  line: z.number().int().positive().optional(),
  column: z.number().int().positive().optional(),
  /** The tool's own name of it: TS2322, E0308, F401. */
  code: z.string().optional(),
  message: z.string(),
  /** The same for the same finding on another commit: without lines and numbers. */
  signature: z.string(),
});
export type CheckError = z.infer<typeof CheckError>;

/** What a test runner counted. Skipped ones are not among `run`. */
export const TestCounts = z.object({
  run: z.number().int().nonnegative(),
  failed: z.number().int().nonnegative(),
  skipped: z.number().int().nonnegative(),
});
export type TestCounts = z.infer<typeof TestCounts>;

export const CheckRun = z.object({
  name: z.string(),
  /** Absent for what the host looks at by itself. */
  command: z.string().optional(),
  status: z.enum(['passed', 'failed', 'timed-out']),
  exitCode: z.number().int().optional(),
  durationMs: z.number().nonnegative(),
  /** Each signature once; the first ones where there are very many. */
  errors: z.array(CheckError),
  tests: TestCounts.optional(),
  /** The end of its output. */
  tail: z.string(),
});
export type CheckRun = z.infer<typeof CheckRun>;

const ran = { commit: CommitSha, checks: z.array(CheckRun) };

export const ChecksResult = z.discriminatedUnion('verdict', [
  z.object({ verdict: z.literal('passed'), ...ran }),
  z.object({ verdict: z.literal('failed'), ...ran }),
  /** No sandbox, no `setup`, a program that is not there: `reason` says what a person can do. */
  z.object({ verdict: z.literal('could-not-run'), ...ran, reason: z.string() }),
  /** There is nothing to run: none is configured, and none is detected. */
  z.object({ verdict: z.literal('none'), ...ran }),
]);
export type ChecksResult = z.infer<typeof ChecksResult>;
