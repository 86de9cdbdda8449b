/** What a check's output says is wrong: parsed, each once. Pure. */
import type { CheckError, TestCounts } from '../../../shared/contracts/checks.ts';
import { errorSignature } from '../../../shared/reconciler/sweep-errors.ts';
import { COMPILERS } from './compilers.ts';
import type { Finding } from './finding.ts';
import { TEST_RUNNERS } from './test-runners.ts';
import { countTests } from './test-counts.ts';

const MAX_MESSAGE_CHARS = 500;
const LAST_LINES = 3;
/** Sequences that colour a terminal. */
const COLOURS = /\u001b\[[0-9;]*[A-Za-z]|\\x1b\[[0-9;]*[A-Za-z]/g;

/**
 * @param workspace the work tree's path as the tools saw it: files below it are named relative to it, others are not
 *   named.
 * @returns the errors in the order of the output, each signature once. Empty where nothing is recognized.
 */
export function parseErrors(check: string, output: string, workspace: string): CheckError[] {
  const outputLines = plain(output).split(/\r?\n/);
  const errors = new Map<string, CheckError>();
  for (const parser of [...COMPILERS, ...TEST_RUNNERS]) {
    for (const finding of parser(outputLines)) {
      const error = errorOf(check, finding, workspace);
      if (error.message !== '' && !errors.has(error.signature)) errors.set(error.signature, error);
    }
  }
  return [...errors.values()];
}

/** For a check that failed without a word that is known: the end of what it wrote. */
export function unparsedError(check: string, output: string, how: string): CheckError {
  const last = plain(output)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(-LAST_LINES);
  return errorOf(check, { message: [how, ...last].join(' | ') }, '/');
}

export const parseTests = (output: string): TestCounts | undefined => countTests(plain(output));

const plain = (output: string): string => output.replace(COLOURS, '');

function errorOf(check: string, finding: Finding, workspace: string): CheckError {
  const { line, column, code } = finding;
  const file = finding.file === undefined ? undefined : relative(finding.file, workspace);
  const message = finding.message.replaceAll(`${workspace}/`, '').slice(0, MAX_MESSAGE_CHARS);
  const named = {
    ...(file === undefined ? {} : { file }),
    ...(code === undefined ? {} : { code }),
    message,
  };
  return {
    check,
    ...named,
    ...(line === undefined || line < 1 ? {} : { line }),
    ...(column === undefined || column < 1 ? {} : { column }),
    signature: errorSignature(named),
  };
}

/** A path of the repository, or undefined: a tool may name files of the system, or what is no path at all. */
function relative(path: string, workspace: string): string | undefined {
  const bare = path.replace(/^file:\/\//, '').replace(/^\.\//, '');
  if (bare.startsWith(`${workspace}/`)) return bare.slice(workspace.length + 1);
  return bare.startsWith('/') || bare.split('/').includes('..') || bare.length > 500 ? undefined : bare;
}
