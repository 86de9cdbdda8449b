/**
 * Lands branches on one branch of one repository, for all runs: one batch after the other, each with one
 * activity that lands and one that answers; or through a gate, where checks are asked for. It ends when nothing waits
 * and nothing is frozen; the next request starts it again.
 */
import {
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  log,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { BranchHealth } from '../../shared/contracts/gate.ts';
import {
  type AnswerRequest,
  MergeQueueInput,
  type MergeQueueSnapshot,
  MergeRequest,
} from '../../shared/contracts/merge.ts';
import { rootMessage } from '../../shared/base/failures.ts';
import { MERGE_TEXT } from '../../shared/merge-queue/text.ts';
import {
  enqueueSignal,
  freezeUpdate,
  healthSignal,
  mergeQueueSnapshotQuery,
  thawUpdate,
} from '../../shared/messages.ts';
import { answerActivities, checkActivities, mergeActivities } from '../support/activity-policies.ts';
import { parseInput, parseSignal } from '../support/input.ts';
import { KeptFreeze, Looks, thawWithoutMender } from './freezer.ts';
import { GateKeeper } from './gate-driver.ts';
import { MergeQueueState } from './state.ts';
import type { GateEffects } from './verdicts.ts';
import { queueNames } from '../support/queues.ts';
import { refused, refuseUnless } from '../support/refusals.ts';

/** How long a queue without work stays open: the next landing of a busy run need not start it again. */
const IDLE_MS = 3_000;
const MAX_REASON_CHARS = 2_000;
const MAX_CARRIED_CHARS = 512_000;
/** Signals are events too, and 10,000 of them end a run: well below that. */
const MAX_EVENTS = 4_000;

export async function mergeQueue(raw: MergeQueueInput): Promise<{ landed: number }> {
  return await new MergeQueue(parseInput(MergeQueueInput, raw, 'mergeQueue')).run();
}

class MergeQueue {
  private readonly input: MergeQueueInput;
  private readonly state: MergeQueueState;
  private readonly gate: GateKeeper;
  private readonly freeze: KeptFreeze;
  /** Something came that may be a reason to act. */
  private dirty: boolean;
  private readonly looks = new Looks();
  /** As in its snapshot. */
  private did: string | undefined;
  /** What is carried on would be too long; it is tried again when something has changed. */
  private tooMuch = false;

  constructor(input: MergeQueueInput) {
    this.input = input;
    this.state = new MergeQueueState(input);
    const onNews = (): void => {
      this.dirty = true;
    };
    this.gate = new GateKeeper({ input, queue: this.state, effects: EFFECTS, onNews });
    this.freeze = new KeptFreeze(input, this.state);
    this.dirty = this.state.requests.length > 0;
    this.listen();
  }

  async run(): Promise<{ landed: number }> {
    const { repo, target } = this.input;
    if (await this.freeze.read()) {
      do {
        await this.serve();
        if (this.gate.hasMerged) await mergeActivities.dropRefs({ repo, target });
      } while (await this.wasStirred());
    }
    return { landed: this.state.snapshot().landed };
  }

  /** What is said to it last is answered, and kept, before it ends; more may be asked of it meanwhile. */
  private async wasStirred(): Promise<boolean> {
    await this.freeze.settled();
    return this.dirty || this.state.owesAnswers;
  }

  private async serve(): Promise<void> {
    while (await this.hears()) {
      if (this.dirty) this.tooMuch = false;
      this.dirty = false;
      if (this.gate.isWanted) this.gate.step();
      else await this.landBatch();
      await this.answer(this.state.takeAnswers());
      await this.perhapsContinueAsNew();
    }
  }

  private snapshot(): MergeQueueSnapshot {
    const { waitingFor, checking } = this.gate;
    const message = {
      ...(waitingFor === undefined ? {} : { waitingFor }),
      ...(this.did === undefined ? {} : { did: this.did }),
    };
    const { isKept } = this.freeze;
    return { ...this.state.snapshot(), checking, ...message, ...(isKept === undefined ? {} : { freezeKept: isKept }) };
  }

  /** Waits for a reason to act. @returns false when there is none and none is waited for. */
  private async hears(): Promise<boolean> {
    const ready = (): boolean => this.dirty || this.state.owesAnswers || this.mayContinueAsNew;
    const { gate, state } = this;
    const { stallMs } = gate;
    if (stallMs !== undefined) {
      if (!(await condition(ready, stallMs))) gate.tryAgain();
      return true;
    }
    const isRed = (gate.isWanted && gate.isRed) || state.frozen.some(({ by }) => by !== 'person');
    if (!isRed) this.looks.reset();
    else if (!gate.isBusy) {
      const ms = this.looks.dueIn(Date.now());
      if (ms === 0 || !(await condition(ready, ms))) await this.look();
      return true;
    }
    if (gate.isBusy || state.requests.length > 0 || state.frozen.length > 0) {
      await condition(ready);
      return true;
    }
    // A request may come together with the end of the wait: it is looked for once more before the queue ends.
    return (await condition(ready, IDLE_MS)) || ready();
  }

  /** Whether somebody else has mended a red branch, and whether anybody still does. */
  private async look(): Promise<void> {
    this.looks.looked();
    const did = await thawWithoutMender(this.state);
    if (did !== undefined) {
      log.warn('a branch is thawed: the run that froze it has ended', { target: this.input.target, did });
      this.did = did;
      this.dirty = true;
    }
    if (this.gate.isWanted && !this.gate.isBusy) await this.gate.look();
  }

  private async landBatch(): Promise<void> {
    const { repo, target } = this.input;
    const { state } = this;
    const entries = state.takeBatch();
    if (entries.length === 0) return;
    try {
      const result = await mergeActivities.landBatch({ repo, target, entries });
      state.decided(result.outcomes);
    } catch (error) {
      if (isCancellation(error)) throw error;
      // Only a terminal failure ends the activity's retries: nobody waits for what cannot come.
      state.decidedAll({ kind: 'refused', reason: rootMessage(error) });
    }
    this.dirty ||= state.requests.some((request) => state.mayLand(request));
  }

  /** Whoever is not reached asks again, and is answered from memory then. */
  private async answer(answers: AnswerRequest['answers']): Promise<void> {
    if (answers.length === 0) return;
    try {
      await answerActivities.answerRequesters({ answers });
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('some requesters could not be answered; they ask again', { reason: rootMessage(error) });
    }
  }

  private get isLong(): boolean {
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    return continueAsNewSuggested || historyLength > MAX_EVENTS;
  }

  /** Also what waits for people or for a fix wakes for this, once for each step towards it. */
  private get mayContinueAsNew(): boolean {
    return this.isLong && this.freeze.isSettled && (this.gate.isBusy ? !this.gate.draining : !this.tooMuch);
  }

  private async perhapsContinueAsNew(): Promise<void> {
    if (!this.isLong || this.state.owesAnswers || !this.freeze.isSettled) return;
    this.gate.draining = true;
    if (this.gate.isBusy) return;
    const gate = this.gate.findings();
    const { repo, target } = this.input;
    const carried = { repo, target, state: { ...this.state.toJSON(), ...(gate === undefined ? {} : { gate }) } };
    // What is too long to be carried on is landed first: it only gets shorter.
    if (JSON.stringify(carried).length <= MAX_CARRIED_CHARS) await continueAsNew<typeof mergeQueue>(carried);
    this.tooMuch = true;
    this.gate.draining = false;
    if (this.gate.isWanted) this.gate.step();
  }

  private listen(): void {
    const { state, gate } = this;
    setHandler(enqueueSignal, (raw) => {
      const entry = parseSignal(MergeRequest, raw, 'enqueue');
      if (entry === undefined) return;
      state.add(entry);
      this.dirty = true;
    });
    setHandler(healthSignal, (raw) => {
      const health = parseSignal(BranchHealth, raw, 'health');
      if (health === undefined) return;
      this.did = undefined;
      gate.hear(health, Date.now());
      this.dirty = true;
    });
    this.listenToPeople();
    setHandler(mergeQueueSnapshotQuery, () => this.snapshot());
  }

  private listenToPeople(): void {
    const { state, gate, freeze } = this;
    const { target } = this.input;
    setHandler(
      freezeUpdate,
      async ({ reason }) => {
        state.freeze({ by: 'person', reason, since: Date.now() });
        log.warn('the branch is frozen', { target, reason });
        this.dirty = true;
        const isKept = await freeze.keep();
        return isKept ? MERGE_TEXT.frozen(target) : MERGE_TEXT.frozenUnkept(target, freeze.failure);
      },
      { validator: (message) => refuseUnless(isReason(message), MERGE_TEXT.freezeWhat) },
    );
    const isFrozen = (): boolean => state.frozen.length > 0 || gate.isRed;
    setHandler(
      thawUpdate,
      async ({ reason }) => {
        // It may have been begun for this word: what it has to thaw is on the remote.
        if (!(await freeze.isKnown())) throw refused(MERGE_TEXT.notRead(target));
        if (!isFrozen()) throw refused(MERGE_TEXT.notFrozen(target));
        state.thaw('person');
        gate.doubtTip();
        log.warn('the branch is thawed', { target, reason });
        this.dirty = true;
        const isKept = await freeze.keep();
        return isKept ? MERGE_TEXT.thawed(target) : MERGE_TEXT.thawedUnkept(target, freeze.failure);
      },
      {
        validator: (message) => {
          refuseUnless(isReason(message), MERGE_TEXT.thawWhat);
          refuseUnless(!freeze.hasRead || isFrozen(), MERGE_TEXT.notFrozen(target));
        },
      },
    );
  }
}

const EFFECTS: GateEffects = {
  composeLine: (request) => mergeActivities.composeLine(request),
  landLine: (request) => mergeActivities.landLine(request),
  runChecks: (request, summary) => checkActivities(queueNames().reserved, summary).runChecks(request),
  cancellable(work) {
    const scope = new CancellationScope();
    void scope.run(work);
    return scope;
  },
  isCancellation,
  log,
};

/** People's messages come as they are: the types are what they should be. */
const isReason = (message: unknown): boolean => {
  const reason = (message as { reason?: unknown } | null | undefined)?.reason;
  return typeof reason === 'string' && reason.trim() !== '' && reason.length <= MAX_REASON_CHARS;
};
