/** Untrusted objects into the mirror: each is checked (fsck), and that all it links to is there. */
import type { Mirror } from '../../git/contract.ts';
import { CommitSha } from '../../../shared/base/ids.ts';

/** What a sandbox said its work tree is: a commit, and a pack of what it has beyond `builtOn`. Untrusted. */
export type CheckpointPack = { commit: CommitSha; builtOn: readonly CommitSha[]; pack: Buffer };

/** As in git's receive-pack: small packs become loose objects, or thousands of checkpoints are thousands of packs. */
const UNPACK_LIMIT = 100;

/** @throws GitError when the mirror does not take it. No ref keeps it: nothing is ever pruned from a mirror. */
export async function takePack(mirror: Mirror, id: string, { pack, commit, builtOn }: CheckpointPack): Promise<void> {
  if (pack.length >= 12 && pack.toString('latin1', 0, 4) === 'PACK' && pack.readUInt32BE(8) < UNPACK_LIMIT) {
    // What importBundle does for small packs, in one process instead of five.
    await mirror.git(['unpack-objects', '-q', '--strict'], { stdin: pack });
    return;
  }
  const needs = [...new Set(builtOn)].map((need) => `-${need}\n`).join('');
  const version = commit.length === 64 ? '# v3 git bundle\n@object-format=sha256\n' : '# v2 git bundle\n';
  const header = Buffer.from(`${version}${needs}${commit} refs/heads/work\n\n`);
  const ref = `refs/checkpoints/${id}`;
  await mirror.importBundle(Buffer.concat([header, pack]), commit, ref);
  await mirror.git(['update-ref', '-d', ref]);
}
