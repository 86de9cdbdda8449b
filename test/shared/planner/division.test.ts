import { describe, expect, test } from 'vitest';
import type { TaskReport } from '../../../src/shared/contracts/run.ts';
import { NO_METRICS } from '../../../src/shared/contracts/task.ts';
import {
  aggregateHandoff,
  checkDivision,
  isDivided,
  type Part,
  scopeSize,
} from '../../../src/shared/planner/division.ts';

const RULES = { scope: 4, depth: 3, subtasks: 10 };

describe('whether a task is divided', () => {
  test.each<[string[], boolean | undefined, number, boolean]>([
    [['a', 'b', 'c'], undefined, 0, false],
    [['a', 'b', 'c', 'd'], undefined, 0, true],
    [['src/'], undefined, 0, true],
    [['src/'], false, 0, false],
    [[], true, 2, true],
    [[], true, 3, false],
  ])('scope %j, asked for: %s, at depth %i: %s', (scope, divide, depth, divided) => {
    expect(isDivided({ scope, divide }, depth, RULES)).toBe(divided);
  });

  test('a folder counts as four entries of a scope', () => {
    expect(scopeSize(['a.ts', 'src/'])).toBe(5);
  });
});

describe('the plan of a division', () => {
  const task = (id: string, ...scope: string[]) => ({ id, scope });

  test('stays inside the scope of what is divided', () => {
    const within = { scope: ['src/store/', 'README.md'], subtasks: 10 };
    expect(checkDivision([task('a', 'src/store/a.ts', 'README.md'), task('b', 'src/store/')], 0, within)).toEqual([]);
    const [error, ...more] = checkDivision([task('a', 'src/', 'src/store/a.ts')], 0, within);
    expect(error).toMatch(/^task "a" names src\/, outside the scope/);
    expect(more).toEqual([]);
    expect(checkDivision([task('a', 'anywhere')], 0, { scope: [], subtasks: 10 })).toEqual([]);
  });

  test('has so many subtasks in all, those planned before included', () => {
    expect(checkDivision([task('a')], 9, { scope: [], subtasks: 10 })).toEqual([]);
    expect(checkDivision([task('a'), task('b')], 9, { scope: [], subtasks: 10 })).toHaveLength(1);
  });
});

describe('the handoff of a division', () => {
  const report = (id: string, status: TaskReport['status'], branch: TaskReport['branch'] = 'landed'): TaskReport => ({
    id,
    description: id,
    status,
    branch,
    attempts: 1,
    conflicts: 0,
  });
  const part = (of: TaskReport, more: Partial<Part> = {}): Part => ({
    report: of,
    files: [],
    concerns: [],
    suggestions: [],
    ...more,
  });
  const metrics = { ...NO_METRICS, turns: 7 };

  test('merges files, concerns and suggestions, each once, and names all below it by path', () => {
    const below = { ...report('b', 'complete', 'none'), subtasks: [report('c', 'complete')] };
    const handoff = aggregateHandoff(
      [
        part(report('a', 'complete'), { files: ['y', 'x'], concerns: ['slow'], suggestions: ['measure'] }),
        part(below, { files: ['x', 'z'], concerns: ['slow', 'big'], suggestions: ['measure'] }),
      ],
      metrics,
    );
    expect(handoff).toMatchObject({
      status: 'complete',
      filesChanged: ['x', 'y', 'z'],
      concerns: ['slow', 'big'],
      suggestions: ['measure'],
      metrics,
    });
    expect(handoff.subtasks?.map(({ id }) => id)).toEqual(['a', 'b', 'b/c']);
  });

  test.each<[string, TaskReport[], string | undefined, string]>([
    ['all done', [report('a', 'complete'), report('b', 'complete', 'none')], undefined, 'complete'],
    ['one failed', [report('a', 'complete'), report('b', 'failed', 'none')], undefined, 'partial'],
    ['one not landed', [report('a', 'complete'), report('b', 'complete', 'conflicted')], undefined, 'partial'],
    ['none done', [report('b', 'failed', 'none')], undefined, 'failed'],
    ['all done, but stopped before the rest was planned', [report('a', 'complete')], 'no budget', 'partial'],
    ['nothing planned, stopped', [], 'no model', 'failed'],
  ])('%s', (_name, reports, stopped, status) => {
    const handoff = aggregateHandoff(
      reports.map((each) => part(each)),
      metrics,
      stopped,
    );
    expect(handoff.status).toBe(status);
    if (stopped !== undefined) expect(handoff.concerns).toContain(stopped);
  });
});
