/** Random batches for the merge queue, as values; a batch's branch and work are written by one `git fast-import`. */
import fc from 'fast-check';
import type { MergeRequest } from '../../src/shared/contracts/merge.ts';
import { MergeStrategy } from '../../src/shared/contracts/merge-strategy.ts';
import { AUTHOR } from './merges.ts';
import { gitIn } from './repos.ts';

type Edit =
  | { kind: 'line'; path: string; line: number; text: string }
  | { kind: 'remove' | 'executable' | 'submodule'; path: string }
  | { kind: 'rename' | 'copy' | 'link'; path: string; to: string };
type Work = {
  /** What it stands on: where the branch began, its tip, or a history that the branch was rewritten without. */
  on: 'start' | 'tip' | 'gone';
  commits: { edits: Edit[]; message: string }[];
  strategy: MergeStrategy;
  author: { name: string; email: string };
  body: string;
};
export type RandomBatch = { branch: Edit[]; works: Work[] };

const PATHS = ['a.txt', 'b.txt', 'dir/c.txt', 'dir/d.txt', 'dir/sub/e.txt', 'dir', 'other/f.txt', 'naïve →.txt'];
const SUBMODULES = ['1234567890123456789012345678901234567890', '2234567890123456789012345678901234567890'];
const LINES = 12;

const path = fc.constantFrom(...PATHS);
const word = fc.constantFrom('one', 'two', 'three');
const edit: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('line'), path, line: fc.nat(LINES - 1), text: word }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('remove', 'executable', 'submodule'), path }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('rename', 'copy', 'link'), path, to: path }) },
);
const edits = fc.array(edit, { minLength: 1, maxLength: 3 });
const work: fc.Arbitrary<Work> = fc.record({
  on: fc.constantFrom('start', 'start', 'start', 'tip', 'gone'),
  commits: fc.array(fc.record({ edits, message: fc.constantFrom('step', 'Swarm-Change: forged', 'ünï') }), {
    minLength: 1,
    maxLength: 2,
  }),
  strategy: fc.constantFrom(...MergeStrategy.options),
  // git takes characters off the ends of names.
  author: fc.constantFrom(AUTHOR, AUTHOR, { name: ' Jo <x>.', email: 'jo@example.org' }, { name: 'Ünï', email: 'ü@x' }),
  body: fc.constantFrom('', 'What it did.\n\nAnd why.', 'not UTF-8 for git: \uffff', '\ud800 alone'),
});
export const randomBatch: fc.Arbitrary<RandomBatch> = fc.record({
  branch: fc.array(edit, { maxLength: 3 }),
  works: fc.array(work, { minLength: 1, maxLength: 5 }),
});

type Tree = Map<string, { mode: string; content: string }>;

const START: Tree = new Map(
  PATHS.filter((name) => name !== 'dir').map((name) => [
    name,
    { mode: '100644', content: Array.from({ length: LINES }, (_, i) => `${name} ${i}\n`).join('') },
  ]),
);

/** An edit of what is not there does nothing; a path that becomes a folder, or was one, loses what is in its way. */
function edited(before: Tree, made: readonly Edit[]): Tree {
  const tree = new Map(before);
  const put = (name: string, file: { mode: string; content: string }): void => {
    for (const other of tree.keys()) {
      if (other.startsWith(`${name}/`) || name.startsWith(`${other}/`)) tree.delete(other);
    }
    tree.set(name, file);
  };
  for (const each of made) {
    const file = tree.get(each.path);
    switch (each.kind) {
      case 'line': {
        const lines = (file?.mode.startsWith('100') ? file.content : '').split('\n');
        lines[each.line] = each.text;
        put(each.path, { mode: file?.mode === '100755' ? '100755' : '100644', content: lines.join('\n') });
        break;
      }
      case 'remove':
        tree.delete(each.path);
        break;
      case 'executable':
        if (file?.mode === '100644') put(each.path, { ...file, mode: '100755' });
        break;
      case 'submodule':
        put(each.path, { mode: '160000', content: SUBMODULES[each.path.length % 2] ?? '' });
        break;
      case 'link':
        put(each.path, { mode: '120000', content: each.to });
        break;
      case 'rename':
      case 'copy':
        if (file === undefined || each.to === each.path) break;
        if (each.kind === 'rename') tree.delete(each.path);
        put(each.to, file);
        break;
    }
  }
  return tree;
}

/** Writes all batches to a bare repository, everything below refs/heads. @returns each one's tip and requests. */
export function writeBatches(dir: string, batches: readonly RandomBatch[]): { tip: string; entries: MergeRequest[] }[] {
  const stream: string[] = [];
  const data = (text: string): string => `data ${Buffer.byteLength(text)}\n${text}\n`;
  const commit = (ref: string, from: string | null, tree: Tree, message: string): void => {
    stream.push(`reset ${ref}\n${from === null ? '' : `from ${from}\n`}\n`);
    stream.push(`commit ${ref}\ncommitter A <a@localhost> 1700000000 +0000\n${data(message)}deleteall\n`);
    for (const [name, { mode, content }] of tree) {
      const what = mode === '160000' ? `M ${mode} ${content} ${name}\n` : `M ${mode} inline ${name}\n${data(content)}`;
      stream.push(what);
    }
  };
  for (const [i, { branch, works }] of batches.entries()) {
    const at = `refs/heads/batch-${i}`;
    commit(`${at}/start`, null, START, `start ${i}`);
    commit(`${at}/gone`, null, edited(START, branch.slice(0, 1)), `gone ${i}`);
    const tip = edited(START, branch);
    commit(`${at}/tip`, `${at}/start`, tip, `tip ${i}`);
    for (const [n, { on, commits }] of works.entries()) {
      let from = `${at}/${on}`;
      let tree = on === 'tip' ? tip : on === 'gone' ? edited(START, branch.slice(0, 1)) : START;
      for (const [step, { edits: made, message }] of commits.entries()) {
        tree = edited(tree, made);
        const ref = `${at}/work-${n}${step === commits.length - 1 ? '' : `-${step}`}`;
        commit(ref, from, tree, message);
        from = ref;
      }
    }
  }
  gitIn(dir, ['fast-import', '--quiet'], { input: stream.join('') });
  const rows = gitIn(dir, ['for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads/']).split('\n');
  const named = new Map(rows.map((row) => row.split(' ') as [string, string]));
  const shaOf = (ref: string): string => {
    const sha = named.get(ref);
    if (sha === undefined) throw new Error(`fast-import made no ${ref}`);
    return sha;
  };
  return batches.map(({ works }, i) => {
    const at = `refs/heads/batch-${i}`;
    const entries = works.map(({ on, strategy, author, body }, n): MergeRequest => {
      const requester = { workflowId: `run/w${n}.1`, firstRunId: `first-run-${i}-${n}` };
      return {
        id: `${requester.firstRunId}/1`,
        ...{ requester, root: { workflowId: 'run', firstRunId: 'root-run' } },
        ...{ commit: shaOf(`${at}/work-${n}`), ref: `${at}/work-${n}`, base: shaOf(`${at}/${on}`) },
        ...{ priority: 5, subject: `work ${n}`, body, author, strategy },
      };
    });
    return { tip: shaOf(`${at}/tip`), entries };
  });
}
