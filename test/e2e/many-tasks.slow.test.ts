/** Many tasks, and tasks that are all in each other's way. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { transcriptQuery } from '../../src/shared/messages.ts';
import { baseTask } from '../../examples/scripted-model/planning.ts';
import { fileOn, landedOn } from '../support/branches.ts';
import { chainRuns } from '../support/chain-runs.ts';
import { bareRepository } from '../support/repos.ts';
import { atOnce, planned, type Scenario, scenarioScript, specOf } from '../support/scenarios.ts';
import { useSwarm } from '../support/use-swarm.ts';

const SIXTY = Array.from({ length: 60 }, (_, i) => `job-${i + 1}`);

const sixty: Scenario = {
  plan: ({ handoffs }) => {
    const count = Math.min(60, 20 + 10 * Math.floor(handoffs.size / 10));
    return { tasks: SIXTY.slice(0, count).map((id) => planned(id)), done: count === 60 };
  },
  tasks: Object.fromEntries(
    SIXTY.map((id) => [
      id,
      () => atOnce({ text: '', calls: [{ name: 'write', arguments: { path: `jobs/${id}.txt`, content: `${id}\n` } }] }),
    ]),
  ),
};

const SIX = ['c1', 'c2', 'c3', 'c4', 'c5', 'c6'];

/** The words of both sides of a conflict, once each, in one line. */
const BOTH_SIDES =
  "grep -vE '^(<{7}|={7}|>{7}|[|]{7})' line.txt | tr ' ' '\\n' | sort -u | paste -sd ' ' > merged && mv merged line.txt";

/** Each adds a word to the one line of the file. */
const sameLine: Scenario = {
  plan: () => ({ tasks: SIX.map((id) => planned(id)), done: true }),
  tasks: Object.fromEntries(
    SIX.map((id) => [
      id,
      () => atOnce({ text: '', calls: [{ name: 'bash', arguments: { command: `sed -i '1s/$/ ${id}/' line.txt` } }] }),
    ]),
  ),
  conflicts: () => atOnce({ text: '', calls: [{ name: 'bash', arguments: { command: BOTH_SIDES } }] }),
};

/** Whenever work arrives for the first time, a person adds a word too: each of the tasks meets a conflict. */
const PERSON_ADDS_A_WORD = `
while read -r old new ref; do
  case "$ref" in refs/agentswarm/runs/*/c[1-6].1) ;; *) continue ;; esac
  case "$old" in *[!0]*) continue ;; esac
  case "$new" in *[!0]*) ;; *) continue ;; esac
  word="person-$(basename "$ref" .1)"
  export GIT_AUTHOR_NAME=P GIT_AUTHOR_EMAIL=p@example.org GIT_COMMITTER_NAME=P GIT_COMMITTER_EMAIL=p@example.org
  for try in 1 2 3 4 5 6 7 8 9; do
    tip=$(git rev-parse refs/heads/main)
    blob=$(git show "$tip:line.txt" | sed "1s/$/ $word/" | git hash-object -w --stdin)
    tree=$(git ls-tree "$tip" | sed "s/blob [0-9a-f]*\\tline.txt/blob $blob\\tline.txt/" | git mktree)
    git update-ref refs/heads/main "$(git commit-tree "$tree" -p "$tip" -m "$word")" "$tip" && break
  done
done`;

describe('many tasks', () => {
  const swarm = useSwarm({ script: scenarioScript({ sixty }) });

  it('sixty tasks land once each and are heard of once each while their planner continues as new', async () => {
    const { origin, base, report } = await swarm.runScenario('many-sixty', 'sixty', {
      settings: { historyEvents: 60, maxWorkers: 12 },
    });
    expect(report).toMatchObject({ status: 'complete', landed: 60, retries: 0 });
    expect(report.tasks.map(({ id }) => id).sort()).toEqual([...SIXTY].sort());
    const runs = await chainRuns(swarm.client, 'many-sixty');
    expect(runs.length - 1).toBeGreaterThanOrEqual(5);

    const commits = landedOn(origin.dir, 'main', base);
    expect(commits.flatMap(({ task }) => task).sort()).toEqual(SIXTY.map((id) => `many-sixty/${id}.1`).sort());
    expect(new Set(commits.flatMap(({ change }) => change)).size).toBe(60);
    for (const id of SIXTY) expect(fileOn(origin.dir, 'main', `jobs/${id}.txt`)).toBe(`${id}\n`);

    // What was paid is counted once: a handoff that is lost or heard twice would show.
    const calls = new Map(swarm.model.log.map((entry) => [entry.idempotencyKey, entry]));
    expect(calls.size).toBe(swarm.model.log.length);
    const paid = swarm.model.log.reduce((sum, { inputTokens }) => sum + inputTokens, 0);
    expect(report.inputTokens).toBe(paid);

    const transcript = await swarm.client.workflow.getHandle('many-sixty').query(transcriptQuery);
    const told = transcript.flatMap((message) =>
      message.role === 'user' ? [...message.text.matchAll(/^### Handoff: (\S+) /gm)].map((match) => match[1]) : [],
    );
    expect(told.length).toBeGreaterThanOrEqual(20);
    expect(new Set(told).size).toBe(told.length);
    await swarm.settled();
  }, 180_000);
});

describe('two sandboxes', () => {
  const swarm = useSwarm({
    script: scenarioScript({ sameLine }),
    latencyMs: 50,
    config: { sandbox: { maxSandboxes: 2 } },
  });

  it('a run in which every task meets a conflict ends with what all of them and a person wrote', async () => {
    const origin = bareRepository(join(swarm.dir, 'same-line.git'), { 'line.txt': 'words:\n' });
    origin.hook('post-receive', PERSON_ADDS_A_WORD);
    const base = origin.tip();
    const report = await swarm.run('many-same-line', {
      repo: origin.dir,
      spec: specOf('sameLine'),
      branch: 'main',
      settings: { conflictTries: 5 },
    });
    // Two conflict agents at once: one of them may lose its race each time, and its work is then given out again.
    const first = report.tasks.filter(({ id }) => SIX.includes(id));
    expect(first.every(({ conflicts }) => conflicts >= 1)).toBe(true);
    expect(report.landed).toBe(6);
    expect(report.tasks.every(({ branch }) => branch === 'landed' || branch === 'conflicted')).toBe(true);
    expect(fileOn(origin.dir, 'main', 'line.txt').trim().split(' ').sort()).toEqual(
      ['words:', ...SIX, ...SIX.map((id) => `person-${id}`)].sort(),
    );
    const commits = landedOn(origin.dir, 'main', base);
    expect(commits).toHaveLength(12);
    expect(
      commits
        .flatMap(({ task }) => task)
        .map((id) => baseTask(id.slice(15, -2)))
        .sort(),
    ).toEqual(SIX);
    expect(report.peakParallel).toBe(6);
    await swarm.settled();
  }, 180_000);
});
