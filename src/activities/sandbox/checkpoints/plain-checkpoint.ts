/**
 * The plain way of a checkpoint: git alone, inside the sandbox, and a pack of what is new on its standard output. It
 * works wherever the sandbox is, on this host or not.
 */
import type { CheckpointDeps, CheckpointRequest, CheckpointWriter } from './contract.ts';
import { takePack } from './checkpoint-pack.ts';
import { KEYS, STAGE, scriptOptions, scriptRunner, TREE, takeLine } from './stage-script.ts';

/** After TREE: a commit of the tree, printed as `commit <name>`. */
const AS_PACK = `
commit=$(git commit-tree "$tree" -p "$3" -m checkpoint)
echo "commit $commit"
known=$2 base=$3
`;
/** A pack of the commit, without what the mirror has. */
const PACK = `
printf '%s\\n^%s\\n^%s\\n' "$commit" "$known" "$base" | git pack-objects --revs --thin --stdout -q --delta-base-offset
`;

/** No tree has this name: the objects of the tree are packed in any case. */
const NONE = '-';

/** A pack that is larger goes into the mirror, so that the next one need not hold the same again. */
const STORED_PACK_BYTES = 4 * 1024 * 1024;

export function createPlainCheckpoints({ provider, records, store, log }: CheckpointDeps): CheckpointWriter {
  return {
    async write(request: CheckpointRequest) {
      const { id, turn, into, keyFiles = [], signal } = request;
      const before = await records.tree(id);
      const known = into === 'mirror' && !before.inMirror ? NONE : before.tree;
      const args = [known, before.packedOn, before.base, ...keyFiles];
      const run = scriptRunner({ provider, log }, { id, base: before.base, args, options: scriptOptions(signal) });
      const { stdout } = await run(`${STAGE}${TREE}${AS_PACK}${KEYS}${PACK}`, 'look');
      const [tree, afterTree] = takeLine(stdout, 'tree');
      if (tree === known) return { commit: before.commit, tree, changed: false };
      const [commit, afterCommit] = takeLine(afterTree, 'commit');
      const [keys, pack] = keyFiles.length === 0 ? [before.keys, afterCommit] : takeLine(afterCommit, 'keys');
      const packed = { commit, builtOn: [before.packedOn, before.base], pack };
      const inMirror = into === 'mirror' || pack.length > STORED_PACK_BYTES;
      if (inMirror) await takePack(await request.mirror(), id, packed);
      else await store.keep(id, packed);
      const now = { commit, tree, turn, inMirror, ...(keys === undefined ? {} : { keys }) };
      await records.writeTree(id, { ...before, ...now, ...(inMirror ? { packedOn: commit } : {}) });
      return { commit, tree, changed: tree !== before.tree };
    },
  };
}
