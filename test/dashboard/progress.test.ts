import { expect, test } from 'vitest';
import { createLiveView } from '../../src/dashboard/live.ts';
import { eventLines, progressLines, summaryLine } from '../../src/dashboard/progress.ts';
import type { TaskReport } from '../../src/shared/contracts/run.ts';
import type { RunSnapshot } from '../../src/shared/contracts/snapshot.ts';

const task = (id: string, over: Partial<TaskReport> = {}): TaskReport => ({
  id,
  description: `Write ${id}\nwith care`,
  status: 'running',
  branch: 'none',
  attempts: 1,
  conflicts: 0,
  ...over,
});

function snapshot(over: Partial<RunSnapshot> = {}): RunSnapshot {
  const tasks = over.tasks ?? [];
  const count = (status: TaskReport['status']): number => tasks.filter((t) => t.status === status).length;
  return {
    run: 'r1',
    phase: 'running',
    repo: '/r.git',
    target: 'agentswarm/r1',
    waitingFor: 'tasks',
    tasks,
    counts: {
      pending: count('pending'),
      assigned: count('assigned'),
      running: count('running'),
      complete: count('complete'),
      failed: count('failed'),
      cancelled: count('cancelled'),
    },
    landed: 0,
    queued: 0,
    replans: 0,
    inputTokens: 0,
    outputTokens: 0,
    costUsd: 0,
    startedAt: 1_000,
    scratchpad: { goals: '', state: '', reasoning: '', intelligence: '' },
    notes: [],
    unsafe: false,
    ...over,
  };
}

test('what waits for a person is in the block, and told once for each request', () => {
  const asked = (since: number) => ({ name: 'plan-1', kind: 'plan' as const, text: '1 task: a', since, reminders: 1 });
  const before = snapshot();
  const after = snapshot({ approvals: [asked(5)] });
  expect(progressLines(after, { now: 9, width: 80 })).toContain('APPROVE  plan-1 (plan): 1 task: a');
  const line = 'waits for your approval: plan plan-1: 1 task: a; agentswarm approve r1 plan-1, or reject';
  expect(eventLines(before, after)).toContain(line);
  expect(eventLines(after, after)).not.toContain(line);
  expect(eventLines(after, snapshot({ approvals: [asked(7)] }))).toContain(line);
});

test('what cannot go on is named with its failure, its remedy and its time, and told once', () => {
  const workflowId = "r1/it's.1/agent";
  const stuck = { workflowId, runId: 'x', type: 'agent', attempts: 6, reason: 'No\ngood', since: 0, endsAt: 61_000 };
  const lines = progressLines(snapshot({ stuck: [stuck] }), { now: 1_000, width: 200 });
  const command = "temporal workflow terminate --workflow-id 'r1/it'\\''s.1/agent' --reason stuck";
  expect(lines).toContain("STUCK    the agent r1/it's.1/agent: its workflow task fails (attempt 6): No good");
  const [remedy] = lines.filter((line) => line.includes(command));
  expect(remedy).toContain('the run ends it in 1 min');
  expect(eventLines(snapshot(), snapshot({ stuck: [stuck] })).join()).toContain(command);
  expect(eventLines(snapshot({ stuck: [stuck] }), snapshot({ stuck: [stuck] }))).toEqual([]);
});

test('the block shows phase, tasks by state, landed, tokens, cost, and who is at work', () => {
  const now = 1_000 + 65_000;
  const lines = progressLines(
    snapshot({
      tasks: [task('parse'), task('print', { attempts: 2 }), task('old', { status: 'complete' })],
      landed: 1,
      queued: 2,
      inputTokens: 12_345,
      outputTokens: 678,
      costUsd: 0.005,
      replans: 3,
    }),
    { now, width: 100 },
  );
  expect(lines).toEqual([
    'r1  running  1 min 05 s',
    'tasks    2 running, 1 complete',
    'landed   1 on agentswarm/r1, 2 in the merge queue',
    'tokens   12.3k in, 678 out   cost $0.0050   replans 3',
    'waits    for tasks',
    '  parse: Write parse',
    '  print (attempt 2): Write print',
  ]);
});

test('the block says when the run is paused and why, when it is not isolated, and names only so many tasks', () => {
  const tasks = Array.from({ length: 11 }, (_, i) => task(`t${i}`));
  const lines = progressLines(snapshot({ tasks, paused: { since: 1, reason: 'no model' }, unsafe: true }), {
    now: 1_000,
    width: 100,
  });
  expect(lines[1]).toBe('PAUSED: no model');
  expect(lines).toContain('  and 3 more');
  expect(lines.at(-1)).toBe('sandboxes are NOT isolated (sandbox.unsafe)');
});

test('no line is wider than the terminal, and nothing of a model’s text reaches it as an escape', () => {
  const hostile = task('x', { description: `\u001B[2J\u0007${'wide '.repeat(50)}` });
  const lines = progressLines(snapshot({ tasks: [hostile] }), { now: 1_000, width: 30 });
  for (const line of lines) expect([...line].length).toBeLessThanOrEqual(30);
  expect(lines.join('\n')).not.toMatch(/\p{Cc}(?<!\n)/u);
  expect(eventLines(null, snapshot({ notes: ['a\u001B]0;b\u0007'] })).join('')).not.toMatch(/\p{Cc}/u);
});

test('events from nothing tell what has happened so far', () => {
  const tasks = [
    task('a', { status: 'complete', branch: 'landed', commit: 'f'.repeat(40) }),
    task('b', { status: 'pending', attempts: 0 }),
  ];
  expect(eventLines(null, snapshot({ tasks, notes: ['main is checked out'] }))).toEqual([
    'note: main is checked out',
    'phase: running',
    'task a: planned: Write a',
    'task a: started',
    'task a: complete',
    'task a: landed as ffffffffff',
    'task b: planned: Write b',
  ]);
});

test('events between two snapshots tell only what is new', () => {
  const before = snapshot({ tasks: [task('a'), task('b')] });
  expect(eventLines(before, before)).toEqual([]);
  const after = snapshot({
    phase: 'finalizing',
    replans: 1,
    paused: { since: 5, reason: 'by Ada' },
    tasks: [
      task('a', { status: 'complete', branch: 'queued', conflicts: 1 }),
      task('b', { status: 'failed', reason: 'tests fail' }),
    ],
  });
  expect(eventLines(before, after)).toEqual([
    'phase: finishing',
    'planned again (1)',
    'task a: complete',
    'task a: its merge met a conflict',
    'task a: waits for its merge',
    'task b: failed: tests fail',
    'paused: by Ada',
  ]);
  expect(eventLines(after, { ...after, paused: undefined })).toEqual(['goes on']);
});

test('a retry that happened between two looks is told', () => {
  const lines = eventLines(snapshot({ tasks: [task('a')] }), snapshot({ tasks: [task('a', { attempts: 2 })] }));
  expect(lines).toEqual(['task a: will be tried again', 'task a: started, attempt 2']);
});

test('the summary is one line', () => {
  const line = summaryLine(snapshot({ tasks: [task('a')] }), 3_000);
  expect(line).toBe(
    'r1 running 2.0 s; tasks 1 running; landed 0 on agentswarm/r1; tokens 0 in, 0 out cost $0.00 replans 0',
  );
});

test('in a terminal the block is renewed in place and events stay above it', () => {
  let out = '';
  const view = createLiveView({ write: (text) => (out += text), isTTY: true, columns: 80 }, { now: () => 1_000 });
  view.update(snapshot({ tasks: [task('a')] }));
  const height = out.split('\n').length - 1 - eventLines(null, snapshot({ tasks: [task('a')] })).length;
  out = '';
  view.say('the worker ended');
  expect(out.startsWith(`\r\u001B[${height}A\u001B[0Jthe worker ended\n`)).toBe(true);
  out = '';
  view.close();
  expect(out).toBe(`\r\u001B[${height}A\u001B[0J`);
  out = '';
  view.say('later');
  expect(out).toBe('later\n');
});

test('elsewhere there are plain lines only, and the figures once it has been quiet for long', () => {
  let out = '';
  let at = 1_000;
  const view = createLiveView({ write: (text) => (out += text) }, { now: () => at, quietMs: 10_000 });
  view.update(snapshot());
  view.update(snapshot());
  expect(out).toBe('phase: running\n');
  at += 10_000;
  view.update(snapshot());
  expect(out).toContain('r1 running 10.0 s; ');
  expect(out).not.toContain('\u001B');
});

test('calls that wait for a model are shown, until nothing was heard of them for ten minutes', () => {
  const since = Date.UTC(2026, 0, 1, 12);
  const waitingForModel = { since, calls: 3, why: 'no LLM endpoint answers: ECONNREFUSED', heardAt: since + 30_000 };
  const lines = (now: number): string => progressLines(snapshot({ waitingForModel }), { now, width: 200 }).join('\n');
  expect(lines(since + 60_000)).toContain(
    '3 calls are waiting for a model since 2026-01-01T12:00:00.000Z (1 min 00 s): no LLM endpoint answers: ECONNREFUSED',
  );
  expect(lines(since + 30_000 + 601_000)).not.toContain('waiting for a model');
  const said = (before: RunSnapshot, after: RunSnapshot): string => eventLines(before, after).join('\n');
  expect(said(snapshot(), snapshot({ waitingForModel }))).toContain('waiting for a model: no LLM endpoint answers');
  expect(said(snapshot({ waitingForModel }), snapshot())).toBe('no call waits for a model any more');
});
