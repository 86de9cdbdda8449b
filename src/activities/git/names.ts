/** Names of refs, checked before git gets to see them. Pure. */
import { createHash } from 'node:crypto';
import { FailureType, terminal } from '../../shared/base/failures.ts';

/**
 * Whether git allows this full name of a ref: the rules of git-check-ref-format(1), for a name below `refs/`.
 * A model's or person's name starts no process before it is known to be one.
 */
export function isRefName(ref: string): boolean {
  return (
    ref.startsWith('refs/') &&
    !/[\u0000- \u007f~^:?*[\\]|\.\.|@\{|\/\/|\.$/.test(ref) &&
    ref.split('/').every((part) => part !== '' && !part.startsWith('.') && !part.endsWith('.lock'))
  );
}

/** @throws terminal BadInput when git does not allow this full name (`refs/…`) of a ref. */
export function checkRef(ref: string): void {
  if (isRefName(ref) && !ref.startsWith('refs/heads/-') && ref !== 'refs/heads/HEAD') return;
  const shown = ref.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
  const name = ref.startsWith('refs/heads/') ? `branch "${shown.slice('refs/heads/'.length)}"` : `ref "${shown}"`;
  throw terminal(
    FailureType.BadInput,
    `git does not allow the name of the ${name}`,
    'Choose a name without spaces, "..", "~", "^", ":", "?", "*", "[", "\\" and without "-" at its start.',
  );
}

/** @param branch without `refs/heads/`. */
export const branchRef = (branch: string): string => `refs/heads/${branch}`;

/** Where the mirror keeps the tip of a remote's branch as last fetched: one flat component. */
export function tipRef(branch: string): string {
  const flat = encodeURIComponent(branch);
  return `refs/tips/${flat.length <= 200 ? flat : createHash('sha256').update(branch).digest('hex')}`;
}
