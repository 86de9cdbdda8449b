/** Attacks by objects, packs and bundles. The control is a repository that takes them as plain git does. */
import { createHash, randomUUID } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommitSha } from '../../../src/shared/base/ids.ts';
import type { Attack } from '../attack.ts';
import type { Stage } from '../stage.ts';
import { gitIn } from '../../support/repos.ts';

type Made = { pack: Buffer; commit: string; needs?: readonly string[] };
type Entry = { mode: string; name: string; oid: string };

/** A scratch repository in which any object can be written. */
class Forge {
  readonly dir: string;
  constructor(dir: string) {
    this.dir = dir;
    gitIn(dir, ['init', '-q', '--bare', '.']);
  }
  object(type: string, content: Buffer | string): string {
    return gitIn(this.dir, ['hash-object', '-t', type, '-w', '--stdin', '--literally'], { input: content });
  }
  /** Different ones, by one process. */
  blobs(count: number): string[] {
    const paths = Array.from({ length: count }, (_, i) => join(this.dir, `blob-${i}`));
    for (const path of paths) writeFileSync(path, path);
    return gitIn(this.dir, ['hash-object', '-w', '--stdin-paths'], { input: `${paths.join('\n')}\n` }).split('\n');
  }
  tree(entries: readonly Entry[]): string {
    return this.object(
      'tree',
      Buffer.concat(
        entries.flatMap(({ mode, name, oid }) => [Buffer.from(`${mode} ${name}\0`), Buffer.from(oid, 'hex')]),
      ),
    );
  }
  commit(tree: string, more = '', person = 'A <a@b> 1700000000 +0000'): string {
    return this.object('commit', `tree ${tree}\n${more}author ${person}\ncommitter ${person}\n\nwork\n`);
  }
  /** @param objects in the pack; the first is the commit. */
  pack(objects: readonly string[]): Made {
    const input = `${objects.join('\n')}\n`;
    return {
      pack: Buffer.from(
        gitIn(this.dir, ['pack-objects', '--stdout', '-q'], { input, encoding: 'latin1', raw: true }),
        'latin1',
      ),
      commit: objects[0] ?? '',
    };
  }
}

/** More than a hundred objects go in by another way. */
const MANY = 120;

function objects(
  id: string,
  goal: string,
  make: (forge: Forge) => { commit: string; others: readonly string[] },
): Attack[] {
  const variant = (many: boolean): Attack => {
    const made = (stage: Stage): Made => {
      const forge = new Forge(stage.scratch());
      const { commit, others } = make(forge);
      const padding = many ? forge.blobs(MANY) : [];
      return forge.pack([commit, ...others, ...padding]);
    };
    return bundle(`${id}${many ? '-many' : ''}`, many ? `${goal}, in a large pack` : goal, made);
  };
  return [variant(false), variant(true)];
}

/** It has won when the ref is there. */
function bundle(id: string, goal: string, make: (stage: Stage) => Made, header?: (made: Made) => string): Attack {
  return {
    id,
    category: 'bundles and packs',
    goal,
    async control(stage) {
      const { pack, commit } = make(stage);
      const dir = stage.scratch();
      gitIn(dir, ['init', '-q', '--bare', '.']);
      if (spawnSync('git', ['unpack-objects', '-q'], { cwd: dir, input: pack }).status !== 0) {
        // Or as a copy of files takes it.
        writeFileSync(join(dir, 'objects/pack', `pack-${createHash('sha1').update(pack).digest('hex')}.pack`), pack);
      }
      writeFileSync(join(dir, 'refs/heads/work'), `${commit}\n`);
      const isThere = gitIn(dir, ['rev-parse', '--verify', 'refs/heads/work']) === commit;
      return isThere && spawnSync('git', ['fsck', '--full', '--strict', '--no-dangling'], { cwd: dir }).status !== 0;
    },
    async inside(stage) {
      const made = make(stage);
      const { isolated: host } = stage;
      const mirror = await host.mirrors.open(host.run.repo);
      const ref = `refs/checkpoints/attack-${stage.nextTurn()}`;
      const head =
        header?.(made) ??
        `# v2 git bundle\n${(made.needs ?? []).map((need) => `-${need}\n`).join('')}${made.commit} refs/heads/work\n\n`;
      await mirror
        .importBundle(Buffer.concat([Buffer.from(head), made.pack]), CommitSha.parse(made.commit), ref)
        .catch(() => undefined);
      const { stdout } = await mirror.git(['for-each-ref', '--format=%(refname)', ref]);
      return stdout.toString().trim() !== '';
    },
  };
}

/** A tree with one entry of this name. */
const named = (id: string, goal: string, name: string, mode = '100644'): Attack[] =>
  objects(id, goal, (forge) => {
    const blob = forge.object('blob', 'x\n');
    const oid = mode === '40000' ? forge.tree([{ mode: '100644', name: 'config', oid: blob }]) : blob;
    const tree = forge.tree([{ mode, name, oid }]);
    return { commit: forge.commit(tree), others: mode === '40000' ? [tree, oid, blob] : [tree, blob] };
  });

const modules = (id: string, goal: string, text: string, mode = '100644'): Attack[] =>
  objects(id, goal, (forge) => {
    const oid = forge.object('blob', text);
    const tree = forge.tree([{ mode, name: '.gitmodules', oid }]);
    return { commit: forge.commit(tree), others: [tree, oid] };
  });

const GOOD = (forge: Forge): { commit: string; tree: string; blob: string } => {
  const blob = forge.object('blob', `${'good\n'.repeat(200)}${randomUUID()}`);
  const tree = forge.tree([{ mode: '100644', name: 'a', oid: blob }]);
  return { blob, tree, commit: forge.commit(tree) };
};
const good = (stage: Stage): Made => {
  const forge = new Forge(stage.scratch());
  const { commit, tree, blob } = GOOD(forge);
  return forge.pack([commit, tree, blob]);
};
const NOWHERE = 'dead'.repeat(10);

export const PACKS: readonly Attack[] = [
  ...named('tree-git', 'a tree with a `.git` of its own', '.git', '40000'),
  ...named('tree-git-case', 'the same for systems that ignore case', '.GIT', '40000'),
  ...named('tree-git-hfs', 'the same with an invisible character', '.g\u200cit', '40000'),
  ...named('tree-git-ntfs', 'the same by a short name of NTFS', 'git~1', '40000'),
  ...named('tree-dots', 'a tree with `..`', '..', '40000'),
  ...named('tree-slash', 'a file name with a slash', '../../evil'),
  ...named('tree-empty', 'a file without a name', ''),
  ...objects('tree-twice', 'two entries of one name', (forge) => {
    const blob = forge.object('blob', 'x');
    const tree = forge.tree([
      { mode: '100644', name: 'a', oid: blob },
      { mode: '100644', name: 'a', oid: blob },
    ]);
    return { commit: forge.commit(tree), others: [tree, blob] };
  }),
  ...objects('tree-unsorted', 'entries in a wrong order', (forge) => {
    const blob = forge.object('blob', 'x');
    const tree = forge.tree([
      { mode: '100644', name: 'b', oid: blob },
      { mode: '100644', name: 'a', oid: blob },
    ]);
    return { commit: forge.commit(tree), others: [tree, blob] };
  }),
  ...modules(
    'modules-url',
    'an option as URL of a submodule',
    '[submodule "s"]\n\tpath = s\n\turl = --upload-pack=touch evil\n',
  ),
  ...modules('modules-path', 'an option as path of a submodule', '[submodule "s"]\n\tpath = --evil\n\turl = ./s\n'),
  ...modules(
    'modules-name',
    'a submodule whose name leaves its folder',
    '[submodule "../../evil"]\n\tpath = s\n\turl = ./s\n',
  ),
  ...modules(
    'modules-update',
    'a submodule that is updated by a command',
    '[submodule "s"]\n\tpath = s\n\turl = ./s\n\tupdate = !touch evil\n',
  ),
  ...modules('modules-link', 'a `.gitmodules` that is a link', '.git/config', '120000'),
  ...objects('commit-without-author', 'a commit without an author', (forge) => {
    const { tree, blob } = GOOD(forge);
    return { commit: forge.object('commit', `tree ${tree}\n\nwork\n`), others: [tree, blob] };
  }),
  ...objects('commit-tree-type', 'a commit whose tree is a file', (forge) => {
    const { blob } = GOOD(forge);
    return { commit: forge.commit(blob), others: [blob] };
  }),
  ...objects('missing-blob', 'a tree without its files', (forge) => {
    const { tree, commit } = GOOD(forge);
    return { commit, others: [tree] };
  }),
  ...objects('missing-parent', 'a commit without its history', (forge) => {
    const { tree, blob } = GOOD(forge);
    return { commit: forge.commit(tree, `parent ${NOWHERE}\n`), others: [tree, blob] };
  }),
  bundle('pack-cut', 'a pack that ends early', (stage) => ({
    ...good(stage),
    pack: good(stage).pack.subarray(0, -30),
  })),
  bundle('pack-bit', 'a pack with one bit turned', (stage) => {
    const made = good(stage);
    const pack = Buffer.from(made.pack);
    pack[30] = (pack[30] ?? 0) ^ 4;
    return { ...made, pack };
  }),
  bundle('pack-count', 'a pack that has fewer objects than it says', (stage) => {
    const made = good(stage);
    const pack = Buffer.from(made.pack);
    pack.writeUInt32BE(3_000_000_000, 8);
    return { ...made, pack };
  }),
  bundle('pack-other', 'a pack with another commit than it says', (stage) => ({ ...good(stage), commit: NOWHERE })),
  bundle('bundle-needs', 'a bundle that builds on what nobody has', (stage) => {
    const forge = new Forge(stage.scratch());
    const { tree, blob } = GOOD(forge);
    return { ...forge.pack([forge.commit(tree, `parent ${NOWHERE}\n`), tree, blob]), needs: [NOWHERE] };
  }),
  bundle(
    'bundle-filter',
    'a bundle that leaves objects out by a filter',
    (stage) => {
      const forge = new Forge(stage.scratch());
      const { commit, tree } = GOOD(forge);
      return forge.pack([commit, tree]);
    },
    ({ commit }) => `# v3 git bundle\n@filter=blob:none\n${commit} refs/heads/work\n\n`,
  ),
];
