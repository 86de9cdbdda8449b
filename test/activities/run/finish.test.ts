import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { createFinishRun } from '../../../src/activities/run/finish.ts';
import { bareRepository, temporaryFolder } from '../../support/repos.ts';
import { recordingLog, runContext } from '../../support/run-context.ts';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const mirrors = createMirrors({ dir: join(folder.dir, 'mirrors') });
const finishRun = createFinishRun({ mirrors, log: recordingLog() });
let count = 0;

function setUp(refs: readonly string[]) {
  const repository = bareRepository(join(folder.dir, `${count++}.git`));
  for (const ref of refs) repository.git('update-ref', ref, repository.tip());
  return repository;
}

it('the refs of the run go, those to keep and those of other runs stay, and the target is read back', async () => {
  const other = 'refs/agentswarm/runs/run-10/alpha.1';
  const repository = setUp(['refs/agentswarm/runs/run-1/alpha.1', 'refs/agentswarm/runs/run-1/beta.2', other]);
  const run = runContext(repository.dir, repository.tip());
  const keep = ['refs/agentswarm/runs/run-1/beta.2', 'refs/agentswarm/runs/run-1/gone.1', other];
  await mirrors.open(run.repo);
  const tip = repository.commit({ 'a.txt': 'pushed by a person meanwhile' });
  expect(await finishRun({ run, keep })).toEqual({ tip, kept: ['refs/agentswarm/runs/run-1/beta.2'] });
  expect(repository.refs('refs/agentswarm/')).toEqual(['refs/agentswarm/runs/run-1/beta.2', other]);
});

it('a second call finds the same', async () => {
  const repository = setUp(['refs/agentswarm/runs/run-1/alpha.1']);
  const request = { run: runContext(repository.dir, repository.tip()), keep: [] };
  expect(await finishRun(request)).toEqual({ tip: repository.tip(), kept: [] });
  expect(await finishRun(request)).toEqual({ tip: repository.tip(), kept: [] });
});

it('hundreds of refs go too', async () => {
  const refs = Array.from({ length: 450 }, (_, i) => `refs/agentswarm/runs/run-1/t${i}.1`);
  const repository = setUp([]);
  const tip = repository.tip();
  const { execFileSync } = await import('node:child_process');
  execFileSync('git', ['update-ref', '--stdin'], {
    cwd: repository.dir,
    input: refs.map((ref) => `create ${ref} ${tip}\n`).join(''),
  });
  await finishRun({ run: runContext(repository.dir, tip), keep: refs.slice(0, 1) });
  expect(repository.refs('refs/agentswarm/')).toEqual(refs.slice(0, 1));
});

it('a target that somebody deleted is told as null', async () => {
  const repository = setUp([]);
  const run = runContext(repository.dir, repository.tip(), { target: 'agentswarm/run-1' });
  expect(await finishRun({ run, keep: [] })).toEqual({ tip: null, kept: [] });
});
