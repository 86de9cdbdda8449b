/** A merge queue's remote for tests: requests as tasks make them, over real repositories. */
import { join } from 'node:path';
import { createMirrors } from '../../src/activities/git/mirrors.ts';
import type { Mirror } from '../../src/activities/git/contract.ts';
import type { LandRequest, MergeRequest } from '../../src/shared/contracts/merge.ts';
import { repositoryKey, taskRef } from '../../src/shared/base/ids.ts';
import type { TestFiles, TestRepository } from './repos.ts';

export const AUTHOR = { name: 'Swarm', email: 'swarm@example.org' };

/** A task's work as one commit on `base`, on its ref of the remote. */
export function workOn(
  remote: TestRepository,
  base: string,
  name: string,
  files: TestFiles,
  overrides: Partial<MergeRequest> = {},
): MergeRequest {
  const requester = overrides.requester ?? { workflowId: `run/${name}.1`, firstRunId: `first-run-of-${name}` };
  const ref = overrides.ref ?? taskRef('run', `run/${name}.1`);
  const commit = remote.detached(files, { parent: base, ref });
  return {
    id: `${requester.firstRunId}/1`,
    requester,
    root: { workflowId: 'run', firstRunId: 'root-run' },
    commit,
    ref,
    base,
    priority: 5,
    subject: name,
    body: `What ${name} did.`,
    author: AUTHOR,
    ...overrides,
  };
}

/** A fresh mirror of a remote, as another host would have. */
export async function mirrorOf(dir: string, location: string, env: Record<string, string> = {}): Promise<Mirror> {
  const mirrors = createMirrors({ dir: join(dir, 'mirrors'), env: { PATH: process.env.PATH, HOME: dir, ...env } });
  return mirrors.open({ location, key: repositoryKey(location) });
}

/** The mirror with some of its methods replaced, for this caller only. */
export const overriding = (mirror: Mirror, overrides: Partial<Mirror>): Mirror =>
  Object.assign(Object.create(mirror) as Mirror, overrides);

export function batch(mirror: Mirror, ...entries: MergeRequest[]): LandRequest {
  return { repo: mirror.repo, target: 'main', entries };
}
