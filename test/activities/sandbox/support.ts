/** A host with sandboxes for tests: real bubblewrap, real mirrors of a real bare repository, no server. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { act as actOn, type ActDeps } from '../../../src/activities/sandbox/act.ts';
import { collectWork } from '../../../src/activities/sandbox/collect.ts';
import { checkOut, resolveStart } from '../../../src/activities/sandbox/checkpoints/checkout.ts';
import { createCheckpoints } from '../../../src/activities/sandbox/checkpoints/checkpoint.ts';
import { createCheckpointStore } from '../../../src/activities/sandbox/checkpoints/checkpoint-store.ts';
import { createCheckpointPushes } from '../../../src/activities/sandbox/checkpoints/pushes.ts';
import { createLimiter } from '../../../src/activities/sandbox/local/limits/limiter.ts';
import { createLocalProvider } from '../../../src/activities/sandbox/local/provider.ts';
import type { SandboxProvider } from '../../../src/activities/sandbox/provider.ts';
import { createSetups } from '../../../src/activities/sandbox/setup.ts';
import { createJournal } from '../../../src/activities/sandbox/state/journal.ts';
import { createRecords } from '../../../src/activities/sandbox/state/lease-file.ts';
import { createExclusive } from '../../../src/shared/base/semaphore.ts';
import { createTurnstile } from '../../../src/activities/sandbox/turnstile.ts';
import { Config, type SandboxLimits } from '../../../src/shared/config/worker-config.ts';
import type { Checkpoint, ActRequest, ActResult, ToolCall } from '../../../src/shared/contracts/agent.ts';
import type { CollectRequest, SandboxStart } from '../../../src/shared/contracts/sandbox.ts';
import { bareRepository, temporaryFolder, type TestFiles } from '../../support/repos.ts';
import { createTestLog } from '../../support/log.ts';
import { runContext } from '../../support/run-context.ts';

export const HOLDER = { workflowId: 'run-1/alpha.1', firstRunId: '00000000-0000-4000-8000-0000000000aa' };
export const REF = 'refs/agentswarm/runs/run-1/alpha.1';

export type TestHostOptions = {
  files?: TestFiles;
  limits?: Partial<SandboxLimits>;
  env?: Record<string, string | undefined>;
  unsafe?: boolean;
  /** Without control groups, as on a machine where the worker may make none. */
  withoutGroups?: boolean;
  pushEveryMs?: number;
  objectFormat?: 'sha1' | 'sha256';
  /** How work trees are stored. Default: `fast`. */
  checkpoints?: 'fast' | 'git';
  /** Where its sandboxes are. Default: bubblewrap on this host. */
  provider?: SandboxProvider;
};

/** What the activities need, over a state folder: a second worker of the same host has the same. */
export async function depsAt(stateDir: string, options: Omit<TestHostOptions, 'files' | 'objectFormat'> = {}) {
  const log = createTestLog();
  const mirrors = createMirrors({ dir: join(stateDir, 'mirrors'), log });
  const limits = { ...Config.parse({}).sandbox.limits, ...options.limits };
  const provider =
    options.provider ??
    (await createLocalProvider({
      stateDir,
      limits,
      unsafe: options.unsafe ?? false,
      env: options.env ?? process.env,
      log,
      ...(options.withoutGroups === true ? { limiter: createLimiter(limits, { kind: 'rlimit', groups: [] }) } : {}),
    }));
  const pushes = createCheckpointPushes({
    log,
    ...(options.pushEveryMs === undefined ? {} : { everyMs: options.pushEveryMs }),
  });
  const records = createRecords(provider);
  const checkpointStore = createCheckpointStore(join(stateDir, 'checkpoints'));
  const deps: ActDeps = {
    provider,
    mirrors,
    records,
    journal: createJournal(provider),
    checkpoints: createCheckpoints({ provider, records, store: checkpointStore, log }, options.checkpoints ?? 'fast'),
    checkpointStore,
    pushes,
    setups: createSetups({ provider, stateDir, log }),
    limits,
    exclusive: createExclusive(),
    turnstile: createTurnstile(),
    log,
  };
  return { ...deps, log };
}

export async function testHost(options: TestHostOptions = {}) {
  const folder = temporaryFolder('agentswarm-sandbox-');
  const stateDir = join(folder.dir, 'state');
  const origin = bareRepository(
    join(folder.dir, 'origin.git'),
    options.files ?? { 'README.md': '# test\n', 'src/a.txt': 'a\n' },
    {
      ...(options.objectFormat === undefined ? {} : { objectFormat: options.objectFormat }),
    },
  );
  const { log, ...deps } = await depsAt(stateDir, options);
  const { provider, mirrors, records } = deps;
  const run = runContext(origin.dir, origin.tip());
  let count = 0;

  /** A sandbox as a lease makes one; returns its id. */
  async function open(start: SandboxStart = { kind: 'tip' }, epoch = 1): Promise<string> {
    const id = `sb-${randomUUID()}`;
    const mirror = await mirrors.open(run.repo);
    await provider.create({ id, objects: join(mirror.dir, 'objects') });
    const point = await resolveStart(mirror, run.target, start);
    await records.writeTree(id, await checkOut({ provider, mirror, id, start: point }));
    await records.writeLease(id, {
      epoch,
      holder: HOLDER,
      ancestors: [run.root],
      repo: run.repo,
      createdAt: Date.now(),
      state: { kind: 'ready' },
    });
    return id;
  }

  const actRequest = (id: string, turn: number, calls: ToolCall[], more: Partial<ActRequest> = {}): ActRequest => ({
    sandbox: { id, epoch: 1, queue: 'host' },
    turn,
    calls,
    repo: run.repo,
    ref: REF,
    ...more,
  });
  const act = (
    id: string,
    turn: number,
    calls: ToolCall[],
    more: Partial<ActRequest> = {},
    env = new MockActivityEnvironment(),
  ) => env.run(() => actOn({ ...deps, log }, actRequest(id, turn, calls, more))) as Promise<ActResult>;

  return {
    ...deps,
    deps: { ...deps, log },
    folder: folder.dir,
    stateDir,
    origin,
    run,
    log,
    open,
    actRequest,
    act,
    /** The mirror, with a checkpoint that was only kept until now. */
    async mirrorWith(checkpoint: Checkpoint | undefined) {
      const mirror = await mirrors.open(run.repo);
      if (checkpoint !== undefined) await deps.checkpointStore.take(mirror, checkpoint.commit);
      return mirror;
    },
    /** The output of one bash command, and how it ended. */
    async bash(id: string, command: string, turn = ++count + 1_000) {
      const { results } = await act(id, turn, [call('bash', { command })]);
      return results[0] ?? { callId: '', name: 'bash', status: 'error' as const, output: 'no result' };
    },
    collect(id: string, more: Partial<CollectRequest> = {}, attempt = 1) {
      const request: CollectRequest = {
        run,
        sandbox: { id, epoch: 1, queue: 'host' },
        base: origin.tip(),
        task: { id: 'alpha', description: 'do it', scope: [], acceptance: [], priority: 5, dependsOn: [] },
        change: HOLDER,
        ref: REF,
        subject: 'alpha: do it',
        body: 'Did it.',
        ...more,
      };
      return new MockActivityEnvironment({ attempt }).run(() => collectWork({ ...deps, log }, request)) as ReturnType<
        typeof collectWork
      >;
    },
    async close() {
      for (const id of await provider.list()) await provider.terminate(id);
      folder.remove();
    },
  };
}
export type TestHost = Awaited<ReturnType<typeof testHost>>;

let calls = 0;
export const call = (name: string, args: object | string): ToolCall => ({
  id: `call-${++calls}`,
  name,
  arguments: typeof args === 'string' ? args : JSON.stringify(args),
});
