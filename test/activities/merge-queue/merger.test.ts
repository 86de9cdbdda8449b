import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Mirror } from '../../../src/activities/git/contract.ts';
import { type Plan, planBatch } from '../../../src/activities/merge-queue/plan.ts';
import { createTestLog } from '../../support/log.ts';
import { mirrorOf, overriding, workOn } from '../../support/merges.ts';
import { randomBatch, writeBatches } from '../../support/random-merges.ts';
import { bareRepository, gitIn, type TestRepository, temporaryFolder } from '../../support/repos.ts';

let folder: ReturnType<typeof temporaryFolder>;
let remote: TestRepository;
beforeEach(() => {
  folder = temporaryFolder();
  remote = bareRepository(join(folder.dir, 'origin.git'), { 'a.txt': 'a\n', 'b.txt': 'b\n' });
});
afterEach(() => folder.remove());

const at = new Date('2026-01-02T03:04:05.678Z');
/** A mirror on a host whose git does not answer one by one. */
const withoutConversations = (mirror: Mirror): Mirror => overriding(mirror, { converse: () => undefined });

test('one process for a batch makes the very commits and outcomes that one process for each makes', async () => {
  const seed = Number(process.env.AGENTSWARM_MERGE_SEED ?? 7);
  const batches = fc.sample(randomBatch, { seed, numRuns: 24 });
  const made = writeBatches(remote.dir, batches);
  const mirror = await mirrorOf(folder.dir, remote.dir);
  const log = createTestLog();
  const kinds: string[] = [];
  for (const [i, { tip, entries }] of made.entries()) {
    const together = await planBatch(mirror, tip, entries, { at, log });
    const oneByOne = await planBatch(withoutConversations(mirror), tip, entries, { at, log });
    expect(together, `seed ${seed}, batch ${i}: ${JSON.stringify(batches[i])}`).toEqual(oneByOne);
    kinds.push(...together.outcomes.map(({ kind }) => kind));
  }
  // Nothing was done over: what was compared are two ways.
  expect(log.lines.filter(({ message }) => !message.startsWith('rebased'))).toEqual([]);
  expect(kinds).toEqual(expect.arrayContaining(['landed', 'conflicted']));
  gitIn(mirror.dir, ['fsck', '--strict', '--no-dangling']);
}, 60_000);

describe('a git that fails in the middle of a batch', () => {
  const work = () => ['one', 'two', 'three'].map((name) => workOn(remote, remote.tip(), name, { [name]: `${name}\n` }));

  /** A mirror whose long-running git is a script; all other commands are git's own. */
  async function mirrorWith(script: string): Promise<Mirror> {
    const bin = join(folder.dir, 'bin');
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, 'stdbuf'), `#!/bin/sh\nPATH='${process.env.PATH}'\n${script}\n`);
    chmodSync(join(bin, 'stdbuf'), 0o755);
    return mirrorOf(folder.dir, remote.dir, { PATH: `${bin}:${process.env.PATH}` });
  }

  async function planned(mirror: Mirror): Promise<{ plan: Plan; expected: Plan; said: string[] }> {
    const log = createTestLog();
    const entries = work();
    const plan = await planBatch(mirror, remote.tip(), entries, { at, log });
    const expected = await planBatch(withoutConversations(mirror), remote.tip(), entries, { at });
    return { plan, expected, said: log.lines.map(({ message }) => message) };
  }

  test.each([
    ['ends after its first answer', `head -n 1 | exec stdbuf "$@"; exit 3`],
    ['says a word of error and answers all the same', `echo "error: cannot read a tree" >&2; exec stdbuf "$@"`],
    ['ends with a failure after the last answer', `stdbuf "$@"; exit 1`],
    ['answers rubbish', `while read -r pair; do printf 'what\\0is\\0this\\0'; done`],
    ['answers with more than it was asked', `stdbuf "$@"; printf '1\\0'`],
    ['is killed', `kill -9 $$`],
  ])('and %s: the batch is merged by a process for each, and this is said', async (_, script) => {
    const { plan, expected, said } = await planned(await mirrorWith(script));
    expect(plan).toEqual(expected);
    expect(plan.outcomes.map(({ kind }) => kind)).toEqual(['landed', 'landed', 'landed']);
    expect(said).toEqual([expect.stringContaining('with one for each')]);
  });

  test('and cannot be started at all: it is not tried a second time', async () => {
    const bin = join(folder.dir, 'only-git');
    mkdirSync(bin);
    writeFileSync(join(bin, 'git'), `#!/bin/sh\nPATH='${process.env.PATH}' exec git "$@"\n`);
    chmodSync(join(bin, 'git'), 0o755);
    const mirror = await mirrorOf(folder.dir, remote.dir, { PATH: bin });
    const first = await planned(mirror);
    expect(first.plan).toEqual(first.expected);
    expect(first.said).toHaveLength(1);
    const second = await planned(mirror);
    expect(second.plan.outcomes.map(({ kind }) => kind)).toEqual(['landed', 'landed', 'landed']);
    expect(second.said).toEqual([]);
  });

  test('because the batch is cancelled: nothing is done over', async () => {
    const abort = new AbortController();
    const mirror = await mirrorOf(folder.dir, remote.dir);
    const entries = work();
    let started = 0;
    const cancelling = overriding(mirror, {
      commitTree: () => expect.fail('the batch was done over'),
      converse(argv, signal) {
        started++;
        const conversation = mirror.converse(argv, signal);
        abort.abort();
        return conversation;
      },
    });
    await expect(planBatch(cancelling, remote.tip(), entries, { at, signal: abort.signal })).rejects.toThrow(/abort/i);
    expect(started).toBe(1);
  });
});
