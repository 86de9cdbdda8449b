/** What commits' trees consist of, asked of git once for each commit. */
import { LRUCache } from 'lru-cache';
import { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror, TreeContent } from './contract.ts';

/** Some 100 bytes each. */
const OBJECTS_KNOWN = 500_000;
const COMMITS_KNOWN = 10_000;

/**
 * The names of all commits are one set: most of a repository's commits have most of their objects in common, and nothing
 * that a mirror has goes. Those that no commit was asked for the longest are forgotten first; whoever misses one takes it
 * for new.
 */
export function createTreeContents(run: Mirror['git'], objectsKnown = OBJECTS_KNOWN): Mirror['contentOf'] {
  // By size, not number: room is made as it is needed.
  const objects = new LRUCache<string, true>({ maxSize: objectsKnown, sizeCalculation: () => 1 });
  const asked = new LRUCache<CommitSha, Promise<TreeContent>>({ max: COMMITS_KNOWN });

  async function list(commit: CommitSha): Promise<TreeContent> {
    const { stdout } = await run(['ls-tree', '-r', '-t', '-z', '--full-tree', CommitSha.parse(commit)]);
    const submodules = new Set<string>();
    for (const entry of stdout.toString('latin1').split('\0')) {
      const [, type, name, path] = /^\d+ (\w+) ([0-9a-f]+)\t(.*)$/s.exec(entry) ?? [];
      if (type === 'commit' && path !== undefined) submodules.add(path);
      else if (name !== undefined) objects.set(name, true);
    }
    return { objects, submodules };
  }

  return (commit) => {
    let content = asked.get(commit);
    if (content === undefined) {
      content = list(commit);
      content.catch(() => asked.delete(commit));
      asked.set(commit, content);
    }
    return content;
  };
}
