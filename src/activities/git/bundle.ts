/**
 * A bundle out of a sandbox is untrusted: its header is read here, and its pack goes through git's fsck into the
 * mirror's objects. (`git bundle unbundle` of git 2.39 does not check the objects.)
 */
import type { CommitSha } from '../../shared/base/ids.ts';
import type { GitOutput } from './contract.ts';
import { GitError } from './errors.ts';
import type { GitOptions } from './run-git.ts';

/** As in git's receive-pack: small packs become loose objects, or thousands of checkpoints are thousands of packs. */
const UNPACK_LIMIT = 100;

type Run = (argv: readonly string[], options?: GitOptions) => Promise<GitOutput>;

/** @throws GitError when the bundle is damaged, does not carry the commit, or builds on commits that are not here. */
export async function takeBundle(run: Run, dir: string, bundle: Buffer, commit: CommitSha): Promise<void> {
  const refuse = (output: string): never => {
    throw new GitError({ argv: ['bundle', 'unbundle', commit], on: dir, code: 1, output });
  };
  const header = parseHeader(bundle) ?? refuse(`${bundle.length} bytes are not a git bundle of version 2 or 3`);
  if (!header.tips.includes(commit)) refuse('the bundle does not carry this commit');
  if (header.needs.length > 0) {
    const stdin = `${header.needs.join('\n')}\n`;
    const found = await run(['cat-file', '--batch-check=%(objecttype)'], { stdin });
    const missing = found.stdout
      .toString('utf8')
      .trim()
      .split('\n')
      .findIndex((type) => type !== 'commit');
    if (missing !== -1) refuse(`the bundle builds on ${header.needs[missing]}, which is not in the mirror`);
  }
  const pack = bundle.subarray(header.packAt);
  if (pack.length < 12 || pack.toString('latin1', 0, 4) !== 'PACK') refuse('the bundle has no pack');
  const argv =
    pack.readUInt32BE(8) < UNPACK_LIMIT
      ? ['unpack-objects', '-q', '--strict']
      : ['index-pack', '--stdin', '--fix-thin', '--strict'];
  await run(argv, { stdin: pack });
  // The pack may have been whole and its links inside; that it makes this commit complete is shown here.
  const stdin = `${commit}\n${header.needs.map((need) => `^${need}\n`).join('')}`;
  await run(['rev-list', '--objects', '--quiet', '--stdin'], { stdin });
}

type Header = { tips: string[]; needs: string[]; packAt: number };

/** Format: gitformat-bundle(5). Capabilities other than the object format (a filter) are not understood. */
function parseHeader(bundle: Buffer): Header | null {
  const end = bundle.indexOf('\n\n');
  if (end === -1 || end > 1_000_000) return null;
  const [signature, ...headerLines] = bundle.toString('latin1', 0, end).split('\n');
  if (signature !== '# v2 git bundle' && signature !== '# v3 git bundle') return null;
  const tips: string[] = [];
  const needs: string[] = [];
  for (const line of headerLines) {
    if (/^@object-format=sha(?:1|256)$/.test(line)) continue;
    const [, minus, name] = /^(-?)([0-9a-f]{40}|[0-9a-f]{64})(?: |$)/.exec(line) ?? [];
    if (name === undefined) return null;
    (minus === '-' ? needs : tips).push(name);
  }
  return { tips, needs, packAt: end + 2 };
}
