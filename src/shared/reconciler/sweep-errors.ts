/** Errors of checks, told apart and counted. Pure. */
import type { CheckError } from '../contracts/checks.ts';

const MAX_SIGNATURE_CHARS = 240;

/**
 * The same for the same error on another commit, in another check, after lines were put above it: the file, the
 * tool's code and the message, with numbers, addresses and durations left out.
 */
export function errorSignature({ file, code, message }: Pick<CheckError, 'file' | 'code' | 'message'>): string {
  const text = message
    .replace(/0x[0-9a-f]+/gi, '#')
    .replace(/\d+(?:\.\d+)?/g, '#')
    .replace(/\s+/g, ' ')
    .trim();
  return `${file ?? ''}|${code ?? ''}|${text}`.slice(0, MAX_SIGNATURE_CHARS);
}
