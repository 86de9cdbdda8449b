/**
 * A planner for one large task: divides it, sees its subtasks landed, and hands off to its parent as a task does,
 * once, also when it is cancelled. It continues as new as the root does; its parent knows it by its first run.
 */
import {
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import { z } from 'zod';
import { type ApprovalRequest, Verdict } from '../../shared/contracts/people.ts';
import { type Handoff, NO_METRICS, TaskInput, type TaskResult } from '../../shared/contracts/task.ts';
import { aggregateHandoff } from '../../shared/planner/division.ts';
import { boundedHandoff, MAX_HANDOFF_CHARS } from '../../shared/task/handoff-size.ts';
import { FailureType, rootMessage, terminal } from '../../shared/base/failures.ts';
import { handoffSignal, verdictSignal, workersSignal } from '../../shared/messages.ts';
import { PLANNER_TEXT, RUN_TEXT } from '../../shared/planner/text.ts';
import { askRoot } from '../support/approval.ts';
import { parseInput, parseSignal } from '../support/input.ts';
import { endedAncestor } from '../support/orphans.ts';
import { quietly } from './children.ts';
import { defined } from './position.ts';
import { type CarriedState, PlanningWorkflow } from './planning-workflow.ts';
import type { PlannerState } from './state/planner-state.ts';
import { reportTasks } from './state/task-record.ts';

const Input = TaskInput.extend({
  /** What continue-as-new hands on. */
  carried: z.object({ state: z.unknown(), planning: z.unknown(), startedAt: z.number() }).optional(),
});
type Input = z.infer<typeof Input>;

export async function subplanner(raw: Input): Promise<TaskResult> {
  return await new Subplanner(parseInput(Input, raw, 'subplanner')).run();
}

/** A look is taken once a minute. */
const ASK_AGAIN_AFTER_LOOKS = 15;

class Subplanner extends PlanningWorkflow {
  private readonly input: Input;
  private looks = 0;

  constructor(input: Input) {
    super(input.carried);
    this.input = input;
    const { run, task, attempt, previous, guidance, spec = { text: task.description } } = input;
    const before = previous === undefined ? {} : { previous: { summary: previous.summary } };
    const division = { task, attempt, guidance, ...before };
    const place = { context: run, spec, above: input.ancestors, budget: input.budget ?? {}, division };
    this.begin(place, input.carried);
    this.listen();
    this.listenToVerdicts();
  }

  async run(): Promise<TaskResult> {
    await this.drive();
    this.phase = 'done';
    setCurrentDetails(PLANNER_TEXT.details(this.snapshot()));
    const state = defined(this.state);
    const direct = state.tasks.length === 0 && state.closing === undefined;
    const handoff = boundedHandoff(this.handoff(), MAX_HANDOFF_CHARS);
    await this.tell(handoff, direct);
    const result: TaskResult = { handoff, outcome: { kind: 'none' }, conflictMetrics: NO_METRICS, conflicts: 0 };
    return direct ? { ...result, direct } : result;
  }

  /** Cut off, with all that it started: its planner counts what was used. */
  protected override async leave(reason: string): Promise<void> {
    await this.tell(boundedHandoff(this.handoff(reason), MAX_HANDOFF_CHARS), false);
  }

  private handoff(cutOff?: string): Handoff {
    const { tasks, metrics, estimated, closing, refused } = defined(this.state);
    const parts = reportTasks(tasks).map((report, i) => {
      const { files = [], concerns = [], suggestions = [] } = tasks[i]?.told ?? {};
      return { report, files, concerns, suggestions };
    });
    return { ...aggregateHandoff(parts, metrics, cutOff ?? closing?.reason ?? refused), estimated };
  }

  private async tell(handoff: Handoff, direct: boolean): Promise<void> {
    const { task, attempt, parent } = this.input;
    const id = `${this.chain.firstRunId}/handoff`;
    const message = { id, sender: this.chain, taskId: task.id, attempt, handoff, queued: false };
    try {
      const above = getExternalWorkflowHandle(parent.workflowId);
      await above.signal(handoffSignal, direct ? { ...message, direct } : message);
    } catch (error) {
      if (isCancellation(error)) throw error;
      // A parent that has closed cannot be told; the result of this workflow says the same.
      log.warn('the parent could not be told', { parent: parent.workflowId, reason: rootMessage(error) });
    }
  }

  protected get repo(): string {
    return this.input.run.repo.location;
  }

  /** Its parent's planner decides what becomes of the task. */
  protected cannotPlan(reason: string): void {
    this.hear((state) => state.closeFor('planning', reason));
  }

  protected override async askForWorkers(state: PlannerState, again = false): Promise<void> {
    const need = state.takeWorkersNeed(again);
    if (need === undefined) return;
    const { task, parent } = this.input;
    const above = getExternalWorkflowHandle(parent.workflowId);
    await quietly(above.signal(workersSignal, { sender: this.chain, taskId: task.id, ...need }));
  }

  protected override async look(): Promise<void> {
    const { state } = this;
    // The planner above may not have known of this one yet when it asked.
    if (state?.lacksWorkers === true) await this.askForWorkers(state, true);
    this.looks += 1;
    for (const plan of this.looks % ASK_AGAIN_AFTER_LOOKS === 0 ? (state?.heldPlans().keys() ?? []) : []) {
      await this.rounds?.askFor(defined(state), plan);
    }
    const ended = await endedAncestor(this.input.ancestors);
    if (ended !== undefined) throw terminal(FailureType.Orphaned, RUN_TEXT.ancestorEnded(ended.workflowId));
  }

  protected async ask(request: ApprovalRequest): Promise<void> {
    await askRoot(this.input.run.root, request);
  }

  private listenToVerdicts(): void {
    setHandler(verdictSignal, (raw) => {
      const verdict = parseSignal(Verdict, raw, 'verdict');
      if (verdict === undefined) return;
      this.hear((state) => state.planDecided(verdict.id.slice(verdict.id.lastIndexOf('/') + 1), verdict));
    });
  }

  protected async startAnew(carried: CarriedState): Promise<never> {
    return await continueAsNew<typeof subplanner>({ ...this.input, carried });
  }
}
