/** What commits' trees consist of, asked of git once for each commit. */
import { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror, TreeContent } from './contract.ts';

/** Some 100 bytes each. */
const OBJECTS_KNOWN = 500_000;

/**
 * The names of all commits are one set: most of a repository's commits have most of their objects in common, and nothing
 * that a mirror has goes.
 */
export function createTreeContents(run: Mirror['git']): Mirror['contentOf'] {
  const objects = new Set<string>();
  const asked = new Map<CommitSha, Promise<TreeContent>>();

  async function list(commit: CommitSha): Promise<TreeContent> {
    const { stdout } = await run(['ls-tree', '-r', '-t', '-z', '--full-tree', CommitSha.parse(commit)]);
    const submodules = new Set<string>();
    for (const entry of stdout.toString('latin1').split('\0')) {
      const [, type, name, path] = /^\d+ (\w+) ([0-9a-f]+)\t(.*)$/s.exec(entry) ?? [];
      if (type === 'commit' && path !== undefined) submodules.add(path);
      else if (name !== undefined) objects.add(name);
    }
    return { objects, submodules };
  }

  return (commit) => {
    let content = asked.get(commit);
    if (content === undefined) {
      if (objects.size > OBJECTS_KNOWN) {
        objects.clear();
        asked.clear();
      }
      content = list(commit);
      content.catch(() => asked.delete(commit));
      asked.set(commit, content);
    }
    return content;
  };
}
