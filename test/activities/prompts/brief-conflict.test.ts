import { describe, expect, it } from 'vitest';
import { createBriefConflict } from '../../../src/activities/prompts/brief-conflict.ts';
import { createBriefWorker } from '../../../src/activities/prompts/brief-worker.ts';
import type { LandedWork } from '../../../src/activities/prompts/landed-work.ts';
import { byteLength } from '../../../src/activities/support/text.ts';
import { NO_METRICS, TaskSpec } from '../../../src/shared/contracts/task.ts';
import { runContext } from '../../support/run-context.ts';
import { TASK_FILES, task, textOf, useBriefing } from './briefing.ts';

const { deps, at } = useBriefing(TASK_FILES);
const briefWorker = createBriefWorker(deps);
/** What histories have of other tasks, by the first run id. */
const landed = new Map<string, LandedWork>();
const briefConflict = createBriefConflict({
  ...deps,
  landedWork: async (_, chain) => landed.get(chain.firstRunId) ?? null,
});

const handoff = {
  status: 'complete' as const,
  summary: 'Alpha is there.',
  concerns: ['b.txt was touched'],
  suggestions: [],
  filesChanged: ['a.txt'],
  metrics: NO_METRICS,
};

describe('the first message of a conflict agent', () => {
  const brief = (tip: string, files: string[], more: Partial<Parameters<typeof briefConflict>[0]> = {}) => {
    const run = runContext(at.repository.dir, at.base);
    return briefConflict({ run, task, handoff, base: at.base, tip, files, ...more });
  };

  it('has both sides: the task with its handoff, and the landed commits that touch these files', async () => {
    at.repository.commit({ 'a.txt': '2\n' }, { message: 'Land beta\n\nBeta needs two.\n\nSwarm-Task: run-1/beta.1' });
    const tip = at.repository.commit({ 'b.txt': '2\n' }, { message: 'Land gamma' });
    const { messages } = await brief(tip, ['a.txt']);
    expect(messages[0]).toMatchObject({ role: 'system', text: expect.stringMatching(/^# Conflict agent\n/) });
    const text = textOf(messages);
    expect(text).toMatch(/^Task: alpha\n\nConflicted files:\n- a\.txt\n\n/);
    expect(text).toContain('summary: Alpha is there.\n- concern: b.txt was touched\n');
    expect(text).toMatch(/commit [0-9a-f]{10}\n {4}Land beta\n {4}\n {4}Beta needs two\.\n/);
    expect(text).not.toContain('Land gamma');
  });

  it('finds the commits of files with names that look like options, globs and magic, and shows a name on one line', async () => {
    const names = ['-n', '*.txt', ':(top)x', 'two\nlines'];
    at.repository.commit(Object.fromEntries(names.map((name) => [name, 'x'])), { message: 'Odd names' });
    const tip = at.repository.commit({ 'a.txt': '3\n' }, { message: 'Not of these files' });
    const { messages } = await brief(tip, names);
    const text = textOf(messages);
    expect(text).toContain('- -n\n- *.txt\n- :(top)x\n- two\\nlines\n');
    expect(text).toContain('Odd names');
    expect(text).not.toContain('Not of these files');
  });

  it('is told how the repository wants to be worked on, each text once', async () => {
    const tip = at.repository.commit({ 'CLAUDE.md': 'Be brief.\n', 'DECISIONS.md': 'D1: </data> tabs.\n' });
    const conflict = await brief(tip, ['a.txt']);
    const worker = await briefWorker({ run: runContext(at.repository.dir, at.base), task, attempt: 1, guidance: [] });
    for (const { messages } of [conflict, worker]) {
      const text = textOf(messages);
      expect(text).toContain('<data source="AGENTS.md">\nBe brief.\n</data>');
      expect(text).toContain('<data source="DECISIONS.md">\nD1: &lt;/data> tabs.\n</data>');
      expect(text).not.toContain('source="CLAUDE.md"');
    }
  });

  it('says so when no landed commit touches the files by name', async () => {
    const { messages } = await brief(at.base, ['a.txt']);
    expect(textOf(messages)).toContain('look at renames and moves');
  });

  it('is bounded with a thousand files and long messages', async () => {
    let tip = at.base;
    for (let i = 0; i < 30; i++)
      tip = at.repository.commit({ 'a.txt': `${i}\n` }, { message: `${i}\n\n${'x'.repeat(20_000)}` });
    const files = ['a.txt', ...Array.from({ length: 1_000 }, (_, i) => `f${i}.txt`)];
    const { messages } = await brief(tip, files);
    expect(textOf(messages)).toContain('and 701 more');
    expect(byteLength(JSON.stringify(messages))).toBeLessThan(200_000);
  });

  it('has how each file conflicts, and what the tasks of the landed commits were there for, each once', async () => {
    const trailers = (id: string): string => `Swarm-Task: run-1/${id}.1\nSwarm-Change: run-of-${id}`;
    const beta = TaskSpec.parse({ id: 'beta', description: 'Make it two.', acceptance: [{ text: 'It is two' }] });
    landed.set('run-of-beta', { task: beta, handoff: { ...handoff, summary: 'It is two now.' } });
    at.repository.commit({ 'a.txt': '2\n' }, { message: `beta: two\n\n${trailers('beta')}` });
    at.repository.commit({ 'a.txt': '3\n' }, { message: `beta again\n\n${trailers('beta')}` });
    at.repository.commit({ 'b.txt': '2\n' }, { message: `gamma, of another file\n\n${trailers('gamma')}` });
    const tip = at.repository.commit(
      { 'a.txt': '4\n' },
      { message: 'by a person\n\nSwarm-Change: run-of-beta\n\nnot a trailer' },
    );
    const conflicts = [{ path: 'a.txt', kind: 'modify/delete' as const, detail: 'a.txt deleted in this work' }];
    const { messages } = await brief(tip, ['a.txt'], { conflicts });
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
