/** Work that is rebased before an agent is asked, against what people's `git rebase` makes of it; over random histories. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planBatch } from '../../src/activities/merge-queue/plan.ts';
import { mirrorOf, workOn } from '../support/merges.ts';
import { bareRepository, gitIn, temporaryFolder } from '../support/repos.ts';

const LINES = 24;
/** Few places and few words, so that the same lines are often written by both, and often written anew. */
const edit = fc.record({
  path: fc.constantFrom('a.ts', 'a.ts', 'a.ts', 'b.ts'),
  line: fc.constantFrom(2, 3, 8, 14, 15, 20),
  word: fc.option(fc.constantFrom('one', 'two', 'three'), { nil: undefined, freq: 4 }),
  /** The work has it, too. */
  shared: fc.boolean(),
});
const histories = fc.record({
  landings: fc.array(fc.array(edit, { minLength: 1, maxLength: 2 }), { minLength: 2, maxLength: 5 }),
  own: fc.boolean(),
});
type Edit = { path: string; line: number; word: string | undefined };

const PATHS = ['a.ts', 'b.ts'];
/** Both files after edits; the later one of a line counts, and no word is the line as it was. */
const filesAfter = (edits: readonly Edit[]): Record<string, string> =>
  Object.fromEntries(
    PATHS.map((path) => {
      const words = new Map(edits.filter((each) => each.path === path).map(({ line, word }) => [line, word]));
      return [path, Array.from({ length: LINES }, (_, i) => `${words.get(i) ?? 'line'} ${i}\n`).join('')];
    }),
  );

/** What becomes of one history. `by hand`: the tree after a rebase onto each landing; undefined where one conflicts. */
async function play({ landings, own }: { landings: (Edit & { shared: boolean })[][]; own: boolean }) {
  const folder = temporaryFolder();
  try {
    const remote = bareRepository(join(folder.dir, 'origin.git'), filesAfter([]));
    const base = remote.tip();
    const commits = landings.map((_, i) => remote.commit(filesAfter(landings.slice(0, i + 1).flat())));
    const shared = landings.flat().filter((each) => each.shared && each.word !== undefined);
    const mine = own ? [{ path: 'a.ts', line: 11, word: 'own' }] : [];
    // Of what landed at one place the first is what the work has.
    const work = workOn(remote, base, 'work', filesAfter([...shared.toReversed(), ...mine]));
    const mirror = await mirrorOf(folder.dir, remote.dir);
    await mirror.fetchBranch('main');
    const plan = await planBatch(mirror, remote.tip(), [work]);
    const [outcome] = plan.outcomes;
    const rebased = outcome?.kind === 'landed' && outcome.rebased === true;
    if (!rebased) return { kind: outcome?.kind };
    const person = join(folder.dir, 'person');
    mkdirSync(person);
    gitIn(person, ['init', '--quiet', '.']);
    gitIn(person, ['fetch', '--quiet', remote.dir, work.commit, 'main']);
    gitIn(person, ['checkout', '--quiet', '--detach', work.commit]);
    return {
      kind: 'rebased' as const,
      tree: gitIn(mirror.dir, ['rev-parse', `${plan.tip}^{tree}`]),
      byHand: byHand(person, commits),
    };
  } finally {
    folder.remove();
  }
}

function byHand(person: string, commits: readonly string[]): string | undefined {
  try {
    for (const commit of commits) gitIn(person, ['rebase', '--quiet', commit]);
  } catch (error) {
    if (error instanceof Error && /CONFLICT|could not apply/.test(error.message)) return undefined;
    throw error;
  }
  return gitIn(person, ['rev-parse', 'HEAD^{tree}']);
}

test('where people can rebase work onto one landing after the other, what lands is the tree that they get', async () => {
  const seed = Number(process.env.AGENTSWARM_MERGE_SEED ?? 11);
  const kinds: string[] = [];
  let compared = 0;
  for (const [i, history] of fc.sample(histories, { seed, numRuns: 200 }).entries()) {
    const played = await play(history);
    kinds.push(played.kind ?? 'nothing');
    if (played.kind !== 'rebased' || played.byHand === undefined) continue;
    expect(played.tree, `seed ${seed}, history ${i}: ${JSON.stringify(history)}`).toBe(played.byHand);
    compared += 1;
  }
  expect(compared).toBeGreaterThanOrEqual(10);
  expect(kinds).toEqual(expect.arrayContaining(['landed', 'conflicted']));
}, 300_000);
