/** One repository with its merge queue and the worker that is killed again and again, and what must hold at its end. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, defaultPayloadConverter } from '@temporalio/client';
import { expect } from 'vitest';
import type { MergeAnswer, MergeOutcome, MergeRequest } from '../../src/shared/contracts/merge.ts';
import { CHANGE_TRAILER, mergeQueueWorkflowId, repositoryKey } from '../../src/shared/base/ids.ts';
import { enqueueSignal, mergeOutcomeSignal, WORKFLOW } from '../../src/shared/messages.ts';
import { workOn } from '../support/merges.ts';
import { bareRepository, type TestRepository } from '../support/repos.ts';

/** Where the worker is killed. All between push and answer are told apart by who knows of the push. */
export const BOUNDARIES = [
  'after the fetch',
  'after the merge',
  'before the push',
  'before a push that arrives late',
  'after the push',
  'after the read-back',
  'after the answer',
] as const;
export type Boundary = (typeof BOUNDARIES)[number];

export type LandingWorker = { dir: string; address: string; taskQueue: string; codePath: string };

/** The worker's git: itself, but that it kills who started it at the place that the file `kill` names, once. */
const GIT = (dir: string): string => `#!/bin/sh
PATH='${process.env.PATH}'
at=$(cat '${dir}/kill' 2>/dev/null)
die() { mv '${dir}/kill' '${dir}/killed' && kill -9 $PPID; }
case "$at:$1" in
  'after the fetch:fetch'|'after the merge:merge-tree'|'after the push:push') git "$@"; code=$?; die; exit $code ;;
  'before the push:push') die; exit 1 ;;
  'before a push that arrives late:push') die; sleep 0.5; exec git "$@" ;;
esac
exec git "$@"
`;

export class Lane {
  private readonly options: LandingWorker & { client: Client };
  private readonly remote: TestRepository;
  private readonly entries: MergeRequest[] = [];
  private worker: ChildProcess | undefined;
  private readonly kills = new Map<Boundary, number>();

  constructor(options: LandingWorker & { client: Client }) {
    const { dir } = options;
    this.options = options;
    mkdirSync(join(dir, 'bin'), { recursive: true });
    writeFileSync(join(dir, 'bin', 'git'), GIT(dir));
    chmodSync(join(dir, 'bin', 'git'), 0o755);
    this.remote = bareRepository(join(dir, 'origin.git'), { shared: 'nobody\n' });
    this.remote.git('config', 'core.logAllRefUpdates', 'always');
  }

  startWorker(): void {
    const { client: _, ...worker } = this.options;
    this.worker = fork(new URL('./landing-process.ts', import.meta.url), [JSON.stringify(worker)], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
  }

  async stopWorker(): Promise<void> {
    if (this.worker === undefined || this.worker.exitCode !== null || this.worker.signalCode !== null) return;
    const ended = once(this.worker, 'exit');
    this.worker.kill('SIGKILL');
    await ended;
  }

  /** Three requests, of which the last two want the same line; a person pushes too. */
  async enqueue(round: number): Promise<void> {
    const base = this.remote.tip();
    for (const [i, name] of ['own', 'first', 'second'].entries()) {
      const files = { [`${name}-${round}`]: `${name}\n`, ...(i === 0 ? {} : { shared: `${name} ${round}\n` }) };
      this.entries.push(await this.request(`${name}-${round}`, base, files));
    }
    this.remote.commit({ [`person-${round}`]: 'x\n' }, { message: `person ${round}` });
    for (const entry of this.entries.slice(-3)) await this.ask(entry);
  }

  private async request(name: string, base: string, files: Record<string, string>): Promise<MergeRequest> {
    const { client, taskQueue } = this.options;
    const workflowId = `${taskQueue}/${name}.1`;
    // Nobody runs it: an answer counts when the server has taken it.
    const started = await client.workflow.start('requester', { workflowId, taskQueue: `${taskQueue}-nobody` });
    const requester = { workflowId, firstRunId: started.firstExecutionRunId };
    return workOn(this.remote, base, name, files, { requester, ref: `refs/agentswarm/runs/lane/${name}.1` });
  }

  async ask(entry: MergeRequest): Promise<void> {
    const { client, taskQueue } = this.options;
    const repo = { location: this.remote.dir, key: repositoryKey(this.remote.dir) };
    await client.workflow.signalWithStart(WORKFLOW.mergeQueue, {
      workflowId: mergeQueueWorkflowId(repo.key, 'main'),
      taskQueue,
      args: [{ repo, target: 'main' }],
      signal: enqueueSignal,
      signalArgs: [entry],
    });
  }

  /** Resolves when the worker was killed at the boundary, and another one has answered everybody. */
  async killAt(boundary: Boundary, round: number): Promise<void> {
    const { dir } = this.options;
    if (this.worker === undefined) throw new Error('there is no worker');
    writeFileSync(join(dir, 'kill.new'), boundary);
    renameSync(join(dir, 'kill.new'), join(dir, 'kill'));
    const died = once(this.worker, 'exit');
    await this.enqueue(round);
    expect(await died, `killed ${boundary}`).toEqual([null, 'SIGKILL']);
    expect(existsSync(join(dir, 'killed'))).toBe(true);
    rmSync(join(dir, 'killed'));
    this.kills.set(boundary, (this.kills.get(boundary) ?? 0) + 1);
    this.startWorker();
    await this.allAnswered();
  }

  async allAnswered(): Promise<void> {
    for (const entry of this.entries) while ((await this.outcomesOf(entry)).length === 0) await sleep(1_000);
  }

  private async outcomesOf(entry: MergeRequest): Promise<MergeOutcome[]> {
    const { workflowId, firstRunId } = entry.requester;
    const { events } = await this.options.client.workflow.getHandle(workflowId, firstRunId).fetchHistory();
    const signals = (events ?? []).flatMap(({ workflowExecutionSignaledEventAttributes: signal }) =>
      signal?.signalName === mergeOutcomeSignal.name ? (signal.input?.payloads ?? []) : [],
    );
    const answers = signals.map((payload) => defaultPayloadConverter.fromPayload<MergeAnswer>(payload));
    expect(answers.every(({ id }) => id === entry.id)).toBe(true);
    return answers.map(({ outcome }) => outcome);
  }

  /** The invariants. @returns how often the worker was killed, by boundary. */
  async judge(): Promise<ReadonlyMap<Boundary, number>> {
    const format = `--format=%H %(trailers:key=${CHANGE_TRAILER},valueonly,separator=%x2C)`;
    const rows = this.remote.git('log', format, 'main').split('\n');
    const landed = rows.map((row) => row.split(' ') as [string, string]).filter(([, change]) => change !== '');
    expect(new Set(landed.map(([, change]) => change)).size, 'a change is on the branch once').toBe(landed.length);
    const onBranch = new Map(landed.map(([commit, change]) => [change, commit]));
    const files = this.remote.files();
    for (const entry of this.entries) {
      const outcomes = await this.outcomesOf(entry);
      expect(outcomes.length, `${entry.subject} is answered`).toBeGreaterThan(0);
      for (const outcome of outcomes) expect(outcome, 'all answers are one').toEqual(outcomes[0]);
      const commit = onBranch.get(entry.requester.firstRunId);
      const [outcome] = outcomes;
      if (commit === undefined) {
        expect(outcome, `${entry.subject} is not on the branch`).toMatchObject({
          kind: 'conflicted',
          files: ['shared'],
        });
        expect(this.remote.git('rev-parse', entry.ref), 'its work is kept').toBe(entry.commit);
      } else {
        expect(outcome, `${entry.subject} is on the branch`).toEqual({ kind: 'landed', commit });
        expect(files[entry.subject], 'its file is there').toBeDefined();
      }
    }
    this.expectOnlyForward();
    return this.kills;
  }

  private expectOnlyForward(): void {
    const tips = this.remote.git('log', '-g', '--format=%H', 'main').split('\n').toReversed();
    for (const [i, tip] of tips.entries()) {
      const before = tips[i - 1];
      if (before !== undefined) expect(this.remote.git('merge-base', before, tip), `move ${i}`).toBe(before);
    }
    expect(tips.at(-1)).toBe(this.remote.tip());
  }
}
