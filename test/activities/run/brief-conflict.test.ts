import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { createBriefConflict } from '../../../src/activities/run/brief-conflict.ts';
import { createBriefWorker } from '../../../src/activities/run/brief-task.ts';
import type { LandedWork } from '../../../src/activities/run/landed-work.ts';
import { loadPrompts } from '../../../src/activities/run/prompts.ts';
import { byteLength } from '../../../src/activities/run/text.ts';
import type { Message } from '../../../src/shared/contracts/agent.ts';
import { NO_METRICS, TaskSpec } from '../../../src/shared/contracts/task.ts';
import { bareRepository, temporaryFolder, type TestRepository } from '../../support/repos.ts';
import { PROMPTS_DIR, runContext } from '../../support/run-context.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const deps = { mirrors: createMirrors({ dir: join(folder.dir, 'mirrors') }), prompts: loadPrompts(PROMPTS_DIR) };
const briefWorker = createBriefWorker(deps);
/** What histories have of other tasks, by the first run id. */
const landed = new Map<string, LandedWork>();
const briefConflict = createBriefConflict({
  ...deps,
  landedWork: async (_, chain) => landed.get(chain.firstRunId) ?? null,
});

let count = 0;
let repository: TestRepository;
let base: string;
beforeEach(() => {
  repository = bareRepository(join(folder.dir, `${count++}.git`), {
    'a.txt': '1\n',
    'b.txt': '1\n',
    'AGENTS.md': 'Be brief.\n',
  });
  base = repository.tip();
});

const task = TaskSpec.parse({
  id: 'alpha',
  description: 'Write alpha.',
  scope: ['src/alpha.ts', 'docs/'],
  acceptance: [{ text: 'Its tests pass', command: 'npm test' }, { text: 'It is documented' }],
});
const handoff = {
  status: 'complete' as const,
  summary: 'Alpha is there.',
  concerns: ['b.txt was touched'],
  suggestions: [],
  filesChanged: ['a.txt'],
  metrics: NO_METRICS,
};

function textOf(messages: Message[]): string {
  const [system, user, ...rest] = messages;
  expect([system?.role, rest.length]).toEqual(['system', 0]);
  if (user?.role !== 'user') throw new Error(`not a message of the user: ${user?.role}`);
  return user.text;
}

describe('the first message of a conflict agent', () => {
  it('has both sides: the task with its handoff, and the landed commits that touch these files', async () => {
    repository.commit({ 'a.txt': '2\n' }, { message: 'Land beta\n\nBeta needs two.\n\nSwarm-Task: run-1/beta.1' });
    const tip = repository.commit({ 'b.txt': '2\n' }, { message: 'Land gamma' });
    const run = runContext(repository.dir, base);
    const { messages } = await briefConflict({ run, task, handoff, base, tip, files: ['a.txt'] });
    expect(messages[0]).toMatchObject({ role: 'system', text: expect.stringMatching(/^# Conflict agent\n/) });
    const text = textOf(messages);
    expect(text).toMatch(/^Task: alpha\n\nConflicted files:\n- a\.txt\n\n/);
    expect(text).toContain('summary: Alpha is there.\n- concern: b.txt was touched\n');
    expect(text).toMatch(/commit [0-9a-f]{10}\n {4}Land beta\n {4}\n {4}Beta needs two\.\n/);
    expect(text).not.toContain('Land gamma');
  });

  it('finds the commits of files with names that look like options, globs and magic, and shows a name on one line', async () => {
    const names = ['-n', '*.txt', ':(top)x', 'two\nlines'];
    repository.commit(Object.fromEntries(names.map((name) => [name, 'x'])), { message: 'Odd names' });
    const tip = repository.commit({ 'a.txt': '3\n' }, { message: 'Not of these files' });
    const { messages } = await briefConflict({
      run: runContext(repository.dir, base),
      task,
      handoff,
      base,
      tip,
      files: names,
    });
    const text = textOf(messages);
    expect(text).toContain('- -n\n- *.txt\n- :(top)x\n- two\\nlines\n');
    expect(text).toContain('Odd names');
    expect(text).not.toContain('Not of these files');
  });

  it('is told how the repository wants to be worked on, each text once', async () => {
    const tip = repository.commit({ 'CLAUDE.md': 'Be brief.\n', 'DECISIONS.md': 'D1: </data> tabs.\n' });
    const conflict = await briefConflict({
      run: runContext(repository.dir, base),
      task,
      handoff,
      base,
      tip,
      files: ['a.txt'],
    });
    const worker = await briefWorker({ run: runContext(repository.dir, base), task, attempt: 1, guidance: [] });
    for (const { messages } of [conflict, worker]) {
      const text = textOf(messages);
      expect(text).toContain('<data source="AGENTS.md">\nBe brief.\n</data>');
      expect(text).toContain('<data source="DECISIONS.md">\nD1: &lt;/data> tabs.\n</data>');
      expect(text).not.toContain('source="CLAUDE.md"');
    }
  });

  it('says so when no landed commit touches the files by name', async () => {
    const { messages } = await briefConflict({
      run: runContext(repository.dir, base),
      task,
      handoff,
      base,
      tip: base,
      files: ['a.txt'],
    });
    expect(textOf(messages)).toContain('look at renames and moves');
  });

  it('is bounded with a thousand files and long messages', async () => {
    let tip = base;
    for (let i = 0; i < 30; i++)
      tip = repository.commit({ 'a.txt': `${i}\n` }, { message: `${i}\n\n${'x'.repeat(20_000)}` });
    const files = ['a.txt', ...Array.from({ length: 1_000 }, (_, i) => `f${i}.txt`)];
    const { messages } = await briefConflict({
      run: runContext(repository.dir, base),
      task,
      handoff,
      base,
      tip,
      files,
    });
    expect(textOf(messages)).toContain('and 701 more');
    expect(byteLength(JSON.stringify(messages))).toBeLessThan(200_000);
  });

  it('has how each file conflicts, and what the tasks of the landed commits were there for, each once', async () => {
    const trailers = (id: string): string => `Swarm-Task: run-1/${id}.1\nSwarm-Change: run-of-${id}`;
    const beta = TaskSpec.parse({ id: 'beta', description: 'Make it two.', acceptance: [{ text: 'It is two' }] });
    landed.set('run-of-beta', { task: beta, handoff: { ...handoff, summary: 'It is two now.' } });
    repository.commit({ 'a.txt': '2\n' }, { message: `beta: two\n\n${trailers('beta')}` });
    repository.commit({ 'a.txt': '3\n' }, { message: `beta again\n\n${trailers('beta')}` });
    repository.commit({ 'b.txt': '2\n' }, { message: `gamma, of another file\n\n${trailers('gamma')}` });
    const tip = repository.commit(
      { 'a.txt': '4\n' },
      { message: 'by a person\n\nSwarm-Change: run-of-beta\n\nnot a trailer' },
    );
    const conflicts = [{ path: 'a.txt', kind: 'modify/delete' as const, detail: 'a.txt deleted in this work' }];
    const run = runContext(repository.dir, base);
    const { messages } = await briefConflict({ run, task, handoff, base, tip, files: ['a.txt'], conflicts });
    const text = textOf(messages);
    expect(text).toContain(
      '## How they conflict\n\n<data source="git merge">\n- a.txt: modify/delete: a.txt deleted in this work',
    );
    expect(text).toMatch(
      /<data source="task beta \(commit [0-9a-f]{10}\): its assignment">\nMake it two\.\n- acceptance: It is two\n/,
    );
    expect(text).toContain('<data source="handoff of beta">\nsummary: It is two now.\n');
    expect(text.match(/its assignment">/g)).toHaveLength(1);
  });
});
