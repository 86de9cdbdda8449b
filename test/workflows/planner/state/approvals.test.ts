import { expect, test } from 'vitest';
import type { ApprovalRequest } from '../../../../src/shared/contracts/people.ts';
import { PLANNER_TEXT } from '../../../../src/shared/planner/text.ts';
import { ApprovalDesk, type CarriedDesk } from '../../../../src/workflows/planner/state/approvals.ts';

const MINUTE = 60_000;
const RULES = { remindMinutes: 10 };

const request = (name: string, id = `first/${name}`): ApprovalRequest => ({
  id,
  sender: { workflowId: 'run/a.1', firstRunId: 'first' },
  name,
  kind: 'merge',
  text: `Land ${name}`,
});

test('what is asked twice waits once, and who asks after the verdict gets it again', () => {
  const desk = new ApprovalDesk();
  expect(desk.ask(request('a'), 0)).toBeUndefined();
  expect(desk.ask(request('a'), 5)).toBeUndefined();
  expect(desk.waiting).toMatchObject([{ name: 'a', since: 0 }]);
  const waiting = desk.named('a');
  if (typeof waiting === 'string') throw new Error(waiting);
  const verdict = desk.decide(waiting, false, 'no');
  expect(desk.waiting).toEqual([]);
  expect(desk.ask(request('a'), 9)).toEqual(verdict);
  expect(desk.waiting).toEqual([]);
});

test('a new attempt under the same name takes the place of the one before', () => {
  const desk = new ApprovalDesk();
  desk.ask(request('a', 'first/merge-1'), 0);
  desk.ask(request('a', 'second/merge-1'), 7);
  expect(desk.waiting).toMatchObject([{ id: 'second/merge-1', since: 7 }]);
});

test('a person who names nothing means the one thing that waits, and is told the names where there are more', () => {
  const desk = new ApprovalDesk();
  expect(desk.named(undefined)).toBe(PLANNER_TEXT.nothingWaits);
  desk.ask(request('a'), 0);
  expect(desk.named(undefined)).toMatchObject({ name: 'a' });
  desk.ask(request('group/b'), 0);
  expect(desk.named(undefined)).toContain('a, group/b');
  expect(desk.named('b')).toContain('group/b');
  expect(desk.named('group/b')).toMatchObject({ name: 'group/b' });
});

test('people are told at once, then after twice as long each time, and at least once a day', () => {
  const desk = new ApprovalDesk();
  desk.ask(request('a'), 0);
  const toldAt: number[] = [];
  for (let now = 0; now <= 5 * 24 * 60 * MINUTE; now += MINUTE) {
    const due = desk.nextAt(RULES) <= now;
    expect(desk.remind(RULES, now).length > 0, `minute ${now / MINUTE}`).toBe(due);
    if (due) toldAt.push(now / MINUTE);
  }
  expect(toldAt.slice(0, 5)).toEqual([0, 10, 30, 70, 150]);
  const gaps = toldAt.slice(1).map((at, i) => at - (toldAt[i] ?? 0));
  expect(Math.max(...gaps)).toBe(24 * 60);
});

test('nothing expires by time unless the rules say so', () => {
  const desk = new ApprovalDesk();
  desk.ask(request('a'), 0);
  expect(desk.expired(RULES, Number.MAX_SAFE_INTEGER)).toEqual([]);
  const strict = { ...RULES, rejectAfterMinutes: 30 };
  expect(desk.expired(strict, 30 * MINUTE - 1)).toEqual([]);
  expect(desk.expired(strict, 30 * MINUTE)).toMatchObject([{ name: 'a' }]);
  desk.remind(strict, 29 * MINUTE);
  expect(desk.nextAt(strict)).toBe(30 * MINUTE);
});

test('what waits and what was decided are carried as JSON, in bounds', () => {
  const desk = new ApprovalDesk();
  for (let i = 0; i < 500; i++) desk.ask({ ...request(`task-${i}`), text: 'x'.repeat(5_000) }, i);
  const json = JSON.stringify(desk.toJSON());
  expect(json.length).toBeLessThan(200_000);
  const carried = new ApprovalDesk(JSON.parse(json) as CarriedDesk);
  const waiting = carried.named('task-0');
  if (typeof waiting === 'string') throw new Error(waiting);
  carried.decide(waiting, true, '');
  // There is room for who found none.
  carried.ask(request('task-499'), 1);
  expect(carried.named('task-499')).toMatchObject({ since: 1 });
  expect(carried.ask(request('task-0'), 2)).toMatchObject({ approved: true });
});
