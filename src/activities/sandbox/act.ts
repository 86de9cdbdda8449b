/**
 * The tool calls of one turn. Invariants:
 * 1. No call is run twice in one sandbox: the journal is written before a call starts and after it has ended.
 * 2. A call that was begun and has no result is told to the model as interrupted, and so are those behind it.
 * 3. A turn that may have changed files ends with a checkpoint in the mirror, or the model is told why not.
 */
import type { ActRequest, ActResult, Checkpoint, ToolCall, ToolResult } from '../../shared/contracts/agent.ts';
import type { SandboxLimits } from '../../shared/config/worker-config.ts';
import type { Exclusive } from '../../shared/base/semaphore.ts';
import type { Mirrors } from '../git/contract.ts';
import { type Beats, heartbeating, throwIfCancelled } from '../support/heartbeats.ts';
import type { Log } from '../support/log.ts';
import { remoteCheckpointRef } from './checkpoints/checkpoint.ts';
import type { CheckpointWriter } from './checkpoints/contract.ts';
import { CheckpointError } from './checkpoints/checkpoint-git.ts';
import type { CheckpointStore } from './checkpoints/checkpoint-store.ts';
import type { CheckpointPushes } from './checkpoints/pushes.ts';
import { restoreTree } from './checkpoints/restore.ts';
import type { SandboxProvider } from './provider.ts';
import type { Setups } from './setup.ts';
import type { Journal, TurnJournal } from './state/journal.ts';
import type { Records } from './state/lease-file.ts';
import { mayWrite, runTool } from './tools/index.ts';
import type { Turnstile } from './turnstile.ts';

/** A tool that runs hears of a cancellation with the answer to a heartbeat. */
const BEAT_MS = 1_000;

export type ActDeps = {
  provider: SandboxProvider;
  mirrors: Mirrors;
  records: Records;
  journal: Journal;
  checkpoints: CheckpointWriter;
  checkpointStore: CheckpointStore;
  pushes: CheckpointPushes;
  setups: Setups;
  limits: SandboxLimits;
  /** One act at a time for each sandbox: a retry may come while a cancelled attempt still ends. */
  exclusive: Exclusive;
  turnstile: Turnstile;
  log: Log;
};

/** @throws SandboxGone when the sandbox is not here under this epoch; CancelledFailure. */
export function act(deps: ActDeps, request: ActRequest): Promise<ActResult> {
  return heartbeating(
    (beats) => deps.exclusive(request.sandbox.id, () => deps.turnstile(() => new Turn(deps, request, beats).run())),
    { details: { turn: request.turn, calls: request.calls.length }, everyMs: BEAT_MS },
  );
}

class Turn {
  private readonly deps: ActDeps;
  private readonly request: ActRequest;
  private readonly id: string;
  private readonly signal: AbortSignal;
  private readonly beat: (details: unknown) => void;

  constructor(deps: ActDeps, request: ActRequest, beats: Beats) {
    this.deps = deps;
    this.request = request;
    this.id = request.sandbox.id;
    this.signal = beats.signal;
    this.beat = beats.beat;
  }

  async run(): Promise<ActResult> {
    const { records, journal } = this.deps;
    const { turn, calls, sandbox } = this.request;
    await throwIfCancelled(this.signal);
    await records.expectEpoch(this.id, sandbox.epoch);
    const known = await journal.read(this.id, turn, calls);
    if (known?.done !== undefined) return { results: known.results, ...known.done };
    const results = known === null ? await this.runCalls() : this.interrupted(known);
    const checkpoint = calls.some(mayWrite) ? await this.store(results) : undefined;
    if (calls.some(mayWrite)) await this.followKeyFiles(results);
    const done = checkpoint === undefined ? {} : { checkpoint };
    await this.write({ results, started: -1, done });
    return { results, ...done };
  }

  private async runCalls(): Promise<ToolResult[]> {
    const { calls, sandbox, turn } = this.request;
    const left = timeLeft(this.request.minutesLeft);
    const note = await this.restore();
    const results: ToolResult[] = [];
    for (const [i, call] of calls.entries()) {
      // Another lease may have begun since: its holder's tools must not meet ours.
      if (i > 0) await this.deps.records.expectEpoch(this.id, sandbox.epoch);
      await throwIfCancelled(this.signal);
      if (left() <= 0) {
        results.push(late(call));
        continue;
      }
      await this.write({ results, started: i });
      this.beat({ turn, started: i, tool: call.name });
      const { signal } = this;
      const outputFile = `${turn}-${i + 1}.txt`;
      const result = await runTool(this.deps, this.id, call, { outputFile, signal, timeLeftMs: left() });
      await throwIfCancelled(this.signal);
      results.push(i === 0 && note !== undefined ? { ...result, output: `[${note}]\n${result.output}` } : result);
      this.beat({ turn, ended: i, tool: call.name, status: result.status });
    }
    // Before the checkpoint, which may fail and be tried again: the tools have run.
    if (calls.length > 0) await this.write({ results, started: -1 });
    return results;
  }

  /** What a killed or cancelled attempt left: its results, and for the others that they were interrupted. */
  private interrupted(known: TurnJournal): ToolResult[] {
    const { calls } = this.request;
    const results = calls.map((call, i) => known.results[i] ?? interruptedResult(call, i === known.started));
    this.deps.log.warn(
      { sandbox: this.id, turn: this.request.turn, results: known.results.length },
      'a turn was interrupted',
    );
    return results;
  }

  private async restore(): Promise<string | undefined> {
    const { restore, ref, repo, sandbox } = this.request;
    const tree = await this.deps.records.tree(this.id);
    if (tree.restoredFor === sandbox.epoch) return undefined;
    if (restore === undefined || tree.commit === restore.commit) {
      await this.deps.records.writeTree(this.id, { ...tree, restoredFor: sandbox.epoch });
      return undefined;
    }
    const mirror = await this.deps.mirrors.open(repo);
    const { id, signal } = this;
    const note = await restoreTree(this.deps, mirror, { id, epoch: sandbox.epoch, restore, ref, signal });
    const { commit } = await this.deps.records.tree(id);
    const setup = await this.deps.setups.again({ mirror, id, commit, signal });
    return note === undefined || setup === undefined ? (note ?? setup) : `${note} ${setup}`;
  }

  /** A task that changes what `setup` is made from gets it again, and is told so with its last result. */
  private async followKeyFiles(results: ToolResult[]): Promise<void> {
    const { mirrors, checkpointStore, records, setups } = this.deps;
    const { id, signal } = this;
    const { keys, setupFor, inMirror, commit } = await records.tree(id);
    if (keys === undefined || keys === setupFor) return;
    const mirror = await mirrors.open(this.request.repo);
    if (!inMirror) await checkpointStore.take(mirror, commit, id);
    const note = await setups.again({ mirror, id, commit, signal });
    await records.writeTree(id, { ...(await records.tree(id)), setupFor: keys });
    const last = results.at(-1);
    if (note !== undefined && last !== undefined)
      results[results.length - 1] = { ...last, output: `${last.output}\n[${note}]` };
  }

  private async store(results: ToolResult[]): Promise<Checkpoint | undefined> {
    const { mirrors, pushes, records, setups } = this.deps;
    const { turn, ref, sandbox, repo } = this.request;
    const lease = await records.expectEpoch(this.id, sandbox.epoch);
    const mirror = () => mirrors.open(repo);
    const due = pushes.due(this.id, lease.createdAt);
    try {
      const keyFiles = await setups.keyFiles(this.id);
      const request = { id: this.id, turn, into: due ? ('mirror' as const) : ('kept' as const), mirror, keyFiles };
      const stored = await this.deps.checkpoints.write({ ...request, signal: this.signal });
      if (!stored.changed) return undefined;
      if (due) {
        const tree = await records.tree(this.id);
        pushes.begin(await mirror(), { id: this.id, commit: stored.commit, ref: remoteCheckpointRef(ref, tree) });
      }
      return { commit: stored.commit, turn };
    } catch (error) {
      await throwIfCancelled(this.signal);
      if (!(error instanceof CheckpointError) || error.kind === 'other') throw error;
      this.deps.log.warn({ sandbox: this.id, error: error.message }, 'no checkpoint of a turn');
      const last = results.at(-1);
      if (last !== undefined)
        results[results.length - 1] = {
          ...last,
          status: 'error',
          output: `${last.output}\n[${NOT_STORED[error.kind]}]`,
        };
      return undefined;
    }
  }

  private write(journal: TurnJournal): Promise<void> {
    return this.deps.journal.write(this.id, this.request.turn, this.request.calls, journal);
  }
}

const NOT_STORED = {
  full: 'The work tree could not be stored: the disk is full. Delete what is not needed, or the work since the last stored turn may be lost.',
  'too-large':
    'The work tree could not be stored: it holds files that are too large. Delete them or add them to .gitignore, or the work since the last stored turn may be lost.',
} as const;

/** From now on, in ms; a host's clock is compared with itself only. */
function timeLeft(minutes: number | undefined): () => number {
  const end = minutes === undefined ? Number.POSITIVE_INFINITY : performance.now() + minutes * 60_000;
  return () => Math.max(0, end - performance.now());
}

const late = ({ id: callId, name }: ToolCall): ToolResult => ({
  callId,
  name,
  status: 'error',
  output: 'Not run: your time limit was reached by the calls before it.',
});

function interruptedResult(call: ToolCall, started: boolean): ToolResult {
  const output = started
    ? 'This call was interrupted: the machine that ran it stopped or was restarted. It may have done some or all of its work; it was not run again. Look at the work tree before you go on.'
    : 'This call was not started, because one before it was interrupted. Call it again if it is still right.';
  return { callId: call.id, name: call.name, status: 'interrupted', output };
}
