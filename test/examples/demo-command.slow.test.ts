/** The demos as a person starts them: set-up, embedded server, worker, sandboxes, origin, fresh clone, report. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { LoggedRequest } from '../../examples/scripted-model/request-log.ts';
import { RunReport, type TaskReport } from '../../src/shared/contracts/run.ts';
import { fileOn, landedOn } from '../support/branches.ts';
import { processesOf } from '../support/processes.ts';
import { gitIn, temporaryFolder } from '../support/repos.ts';

const ROOT = dirname(dirname(import.meta.dirname));

/** Without what npm and vitest have put into our environment. */
const ENV = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|NODE_OPTIONS|NODE_ENV)/.test(name)),
);

type Demo = { dir: string; origin: string; report: RunReport; said: string; requests: LoggedRequest[] };

const folders: { remove: () => void }[] = [];
afterAll(() => {
  for (const folder of folders) folder.remove();
});

/** `npm run demo -- --dir … --json`, to its end; throws with what it said when that is not good. */
async function demo(...options: string[]): Promise<Demo> {
  const folder = temporaryFolder('agentswarm-demo-');
  folders.push(folder);
  const dir = realpathSync(folder.dir);
  const argv = ['run', '--silent', 'demo', '--', '--dir', dir, '--json', ...options];
  const { stdout, stderr } = await new Promise<{ stdout: string; stderr: string }>((resolve, reject) => {
    execFile('npm', argv, { cwd: ROOT, env: ENV, maxBuffer: 1e8 }, (error, stdout, stderr) => {
      if (error === null) resolve({ stdout, stderr });
      else reject(new Error(`the demo ended with ${error.code}:\n${stderr}\n${stdout}`));
    });
  });
  const requests = readFileSync(join(dir, 'model.ndjson'), 'utf8').trim().split('\n');
  return {
    dir,
    origin: join(dir, 'origin.git'),
    report: RunReport.parse(JSON.parse(stdout)),
    said: stderr,
    requests: requests.map((line) => JSON.parse(line) as LoggedRequest),
  };
}

/** Tasks, and of those that were divided what they were divided into. */
const piecesOf = ({ tasks }: RunReport): TaskReport[] =>
  tasks.flatMap((task) => (task.subtasks === undefined ? [task] : task.subtasks));

/** What holds for every demo: all landed where the report says, the clone is that and passes, nothing is left. */
function expectWhole({ dir, origin, report, said, requests }: Demo): void {
  expect(report).toMatchObject({ status: 'complete', target: 'main', repo: origin, unsafe: false });
  const pieces = piecesOf(report);
  expect(report.landed).toBe(pieces.length);
  const base = gitIn(origin, ['rev-list', '--max-parents=0', 'main']);
  const landed = landedOn(origin, 'main', base);
  expect(landed.map(({ hash }) => hash).sort()).toEqual(pieces.map(({ commit = '' }) => commit).sort());
  expect(new Set(landed.flatMap(({ change }) => change)).size).toBe(pieces.length);
  expect(report.tip).toBe(gitIn(origin, ['rev-parse', 'main']));
  expect(report.base).toBe(base);
  const refs = gitIn(origin, ['for-each-ref', '--format=%(refname)']).split('\n');
  const green = report.green?.verdict === 'green' ? ['refs/agentswarm/green/main'] : [];
  expect(refs).toEqual([...green, 'refs/heads/main']);
  for (const ref of green) expect(gitIn(origin, ['rev-parse', ref])).toBe(report.tip);

  const used = (field: 'inputTokens' | 'outputTokens') => requests.reduce((sum, request) => sum + request[field], 0);
  expect(report).toMatchObject({ inputTokens: used('inputTokens'), outputTokens: used('outputTokens') });
  expect(report.costUsd).toBeGreaterThan(0);
  expect(report.endedAt).toBeGreaterThan(report.startedAt);

  const clone = join(dir, 'clone');
  expect(gitIn(clone, ['rev-parse', 'HEAD'])).toBe(report.tip);
  expect(gitIn(clone, ['status', '--porcelain'])).toBe('');
  expect(said).toMatch(/^The model of this demo is SCRIPTED: no LLM is called\./m);
  expect(said).toContain(`/namespaces/default/workflows/${report.run}`);
  expect(said).toContain('The fresh clone passes.');

  expect(processesOf(dir)).toEqual([]);
  expect(readdirSync(join(dir, 'state', 'sandboxes'))).toEqual([]);
}

describe.concurrent('npm run demo', { timeout: 300_000 }, () => {
  test('builds the TypeScript library with a conflict, a retry, a division, a wish and a heal, many tasks at once', async () => {
    const done = await demo('--latency-ms', '100');
    expectWhole(done);
    const { origin, report, said, requests } = done;
    expect(report.tasks.length).toBeGreaterThanOrEqual(12);
    expect(report.peakParallel).toBeGreaterThanOrEqual(6);
    expect(report.replans).toBeGreaterThanOrEqual(1);
    expect(report.retries).toBe(1);
    expect(report.tasks.filter(({ attempts }) => attempts === 2).map(({ id }) => id)).toEqual(['duration']);

    // Both have added a line at the same place of a file outside their scopes; one of them was resolved.
    expect(report.conflicts).toBe(1);
    const [conflicted, ...more] = report.tasks.filter(({ conflicts }) => conflicts > 0);
    expect(more).toEqual([]);
    expect(['template', 'glob']).toContain(conflicted?.id);
    const resolving = requests.filter(({ role }) => role === 'conflict');
    expect(new Set(resolving.map(({ task }) => task))).toEqual(new Set([conflicted?.id]));
    const errors = fileOn(origin, 'main', 'src/errors.ts');
    for (const code of ['missing-value', 'invalid-pattern']) expect(errors).toContain(`'${code}':`);

    // A subplanner has divided the layout functions.
    const layout = report.tasks.find(({ id }) => id === 'layout');
    expect(layout).toMatchObject({ status: 'complete', branch: 'none' });
    expect(layout?.subtasks?.map(({ id }) => id).sort()).toEqual(['table', 'truncate', 'wrap']);

    // A person has steered the run by the command, and got what was asked for.
    expect(said).toMatch(/^\$ agentswarm steer demo-ts-library /m);
    expect(said).toContain('Noted.');
    expect(report.tasks.find(({ id }) => id === 'contributing')).toMatchObject({ branch: 'landed' });
    expect(fileOn(origin, 'main', 'CONTRIBUTING.md')).toContain('npm test');

    // Two tasks that each passed broke the branch together; a fix has mended it.
    expect(report.green).toMatchObject({ verdict: 'green', commit: report.tip, heals: 1 });

    const [, passed = '0'] = /^ℹ pass (\d+)$/m.exec(said) ?? [];
    expect(Number(passed)).toBeGreaterThanOrEqual(70);
    expect(said).toMatch(/^ℹ fail 0$/m);
    expect(existsSync(join(done.dir, 'clone', 'node_modules'))).toBe(true);
  });

  test('builds the Python library, whose tests need what setup has installed', async () => {
    const done = await demo('--latency-ms', '100', '--example', 'python-library');
    expectWhole(done);
    expect(done.report.tasks.map(({ id }) => id).sort()).toEqual(['accounts', 'journal', 'money', 'report']);
    expect(done.report.replans).toBeGreaterThanOrEqual(1);
    expect(done.said).toMatch(/28 passed/);
  });
});
