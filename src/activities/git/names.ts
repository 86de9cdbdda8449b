/** Names of refs, checked by git itself before they are used. */
import { createHash } from 'node:crypto';
import { FailureType, terminal } from '../../shared/failures.ts';

/** As much of a git runner as a check needs. */
type AskGit = (argv: readonly string[], options: { ok: readonly number[] }) => Promise<{ code: number }>;

const checked = new Set<string>();

/** @throws terminal BadInput when git does not allow this full name (`refs/…`) of a ref. */
export async function checkRef(git: AskGit, ref: string): Promise<void> {
  if (checked.has(ref)) return;
  const allowed = ref.startsWith('refs/') && (await git(['check-ref-format', ref], { ok: [0, 1] })).code === 0;
  if (!allowed || ref.startsWith('refs/heads/-') || ref === 'refs/heads/HEAD') {
    const name = ref.startsWith('refs/heads/') ? `branch "${ref.slice('refs/heads/'.length)}"` : `ref "${ref}"`;
    throw terminal(
      FailureType.BadInput,
      `git does not allow the name of the ${name}`,
      'Choose a name without spaces, "..", "~", "^", ":", "?", "*", "[", "\\" and without "-" at its start.',
    );
  }
  if (checked.size > 10_000) checked.clear();
  checked.add(ref);
}

/** @param branch without `refs/heads/`. */
export const branchRef = (branch: string): string => `refs/heads/${branch}`;

/** Where the mirror keeps the tip of a remote's branch as last fetched: one flat component. */
export function tipRef(branch: string): string {
  const flat = encodeURIComponent(branch);
  return `refs/tips/${flat.length <= 200 ? flat : createHash('sha256').update(branch).digest('hex')}`;
}
