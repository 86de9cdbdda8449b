/** What `detectSetup` looks at, at one commit. */
import { DETECTION_TEXTS, type RootFiles } from '../../shared/sandbox/detect-setup.ts';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { listFolder, readText } from '../git/read/commit-files.ts';

const MAX_BYTES = 1_000_000;

export async function readRootFiles(mirror: Mirror, commit: CommitSha): Promise<RootFiles> {
  const names = new Set((await listFolder(mirror, commit, '')).map(({ path }) => path));
  const texts: { -readonly [name in keyof RootFiles['texts']]: string } = {};
  for (const name of DETECTION_TEXTS.filter((each) => names.has(each))) {
    const text = await readText(mirror, commit, name, MAX_BYTES);
    if (text !== null) texts[name] = text;
  }
  return { names, texts };
}
