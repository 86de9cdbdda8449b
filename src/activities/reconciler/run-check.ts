/** One check in a sandbox: its command run to its end, and what its output says. */
import type { Check } from '../../shared/contracts/check-settings.ts';
import type { CheckError, CheckRun } from '../../shared/contracts/checks.ts';
import type { ScratchSandbox } from '../sandbox/scratch.ts';
import type { SandboxResult } from '../sandbox/provider.ts';
import { asText } from '../sandbox/tools/text.ts';
import { parseErrors, parseTests, unparsedError } from './parsers/index.ts';

/** Of what a check writes: errors come first, summaries last. */
const HEAD_BYTES = 512 * 1024;
const TAIL_BYTES = 512 * 1024;
const MAX_ERRORS = 30;
const KEPT_CHARS = { passed: 500, failed: 4_000 };
/** Nobody sits before it, and colours are in the way of the parsers. */
const ENV = { CI: 'true', NO_COLOR: '1' };

/** @returns what the check showed, or why it is no verdict on the commit: a program that this machine lacks. */
export async function runCheck(
  sandbox: ScratchSandbox,
  check: Check,
  signal: AbortSignal,
): Promise<CheckRun | { missing: string }> {
  const { name, command, timeoutMinutes } = check;
  const startedAt = Date.now();
  const result = await sandbox.exec(['/bin/bash', '-c', command], {
    combine: true,
    timeoutMs: timeoutMinutes * 60_000,
    headBytes: HEAD_BYTES,
    tailBytes: TAIL_BYTES,
    env: ENV,
    signal,
  });
  signal.throwIfAborted();
  const output = [asText(result.stdout), ...(result.truncated ? [asText(result.tail)] : [])].join('\n');
  const missing = missingProgram(result, output);
  if (missing !== undefined) return { missing };
  const passed = result.reason === 'exit' && result.exitCode === 0;
  const tests = parseTests(output);
  const notes = [...(result.limits ?? []), ...(result.refused ?? [])];
  const maxChars = passed ? KEPT_CHARS.passed : KEPT_CHARS.failed;
  return {
    name,
    command,
    status: passed ? 'passed' : result.reason === 'timeout' ? 'timed-out' : 'failed',
    exitCode: result.exitCode,
    durationMs: Date.now() - startedAt,
    errors: passed ? [] : errorsOf(check, result, output, sandbox.workspace),
    ...(tests === undefined ? {} : { tests }),
    tail: [output.trimEnd(), ...notes.map((note) => `[${note}]`)].join('\n').slice(-maxChars),
  };
}

function errorsOf(check: Check, result: SandboxResult, output: string, workspace: string): CheckError[] {
  const found = parseErrors(check.name, output, workspace);
  if (result.reason === 'timeout') {
    return [unparsedError(check.name, output, `stopped after ${check.timeoutMinutes} minutes`), ...found].slice(
      0,
      MAX_ERRORS,
    );
  }
  if (found.length > 0) return found.slice(0, MAX_ERRORS);
  const [limit] = result.limits ?? [];
  return [unparsedError(check.name, output, limit ?? `\`${check.command}\` ended with code ${result.exitCode}`)];
}

/** The shell's own words for a program that is not on the PATH; a script of the repository that is gone is a failure. */
function missingProgram({ reason, exitCode }: SandboxResult, output: string): string | undefined {
  if (reason !== 'exit' || exitCode !== 127) return undefined;
  return /^\/bin\/bash: line \d+: ([^\s/]+): command not found$/m.exec(output)?.[1];
}
