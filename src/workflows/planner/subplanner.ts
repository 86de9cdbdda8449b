/**
 * A planner for one large task: divides it, sees its subtasks landed, and hands off to its parent as a task does,
 * once, also when it is cancelled. It continues as new as the root does; its parent knows it by its first run.
 */
import { continueAsNew, getExternalWorkflowHandle } from '@temporalio/workflow';
import { z } from 'zod';
import type { ApprovalRequest } from '../../shared/contracts/people.ts';
import { type Handoff, NO_METRICS, TaskInput, type TaskResult } from '../../shared/contracts/task.ts';
import { aggregateHandoff } from '../../shared/planner/division.ts';
import { boundedHandoff, MAX_HANDOFF_CHARS } from '../../shared/task/handoff-size.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { workersSignal } from '../../shared/messages.ts';
import { RUN_TEXT } from '../../shared/planner/text.ts';
import { askRoot } from '../support/approval.ts';
import { handOff } from '../support/hand-off.ts';
import { parseInput } from '../support/input.ts';
import { endedAncestor } from '../support/orphans.ts';
import { quietly } from './children.ts';
import { listenToAll, listenToDivision } from './handlers.ts';
import { defined } from './position.ts';
import { type CarriedState, type PlannerRole, PlanningWorkflow } from './planning-workflow.ts';
import type { PlannerState } from './state/planner-state.ts';
import { reportTasks } from './state/task-record.ts';

const Input = TaskInput.extend({
  /** What continue-as-new hands on. */
  carried: z.object({ state: z.unknown(), planning: z.unknown(), startedAt: z.number() }).optional(),
});
type Input = z.infer<typeof Input>;

export async function subplanner(raw: Input): Promise<TaskResult> {
  return await new DivisionPlanner(parseInput(Input, raw, 'subplanner')).run();
}

/** It is checked once a minute whether the work is wanted. */
const ASK_AGAIN_AFTER_CHECKS = 15;

class DivisionPlanner implements PlannerRole {
  readonly notes = { notes: [], unsafe: false };
  private readonly planning: PlanningWorkflow;
  private readonly input: Input;
  private checks = 0;

  constructor(input: Input) {
    this.input = input;
    this.planning = new PlanningWorkflow(this, input.carried);
    const { run, task, attempt, previous, guidance, spec = { text: task.description } } = input;
    const before = previous === undefined ? {} : { previous: { summary: previous.summary } };
    const division = { task, attempt, guidance, ...before };
    const position = { context: run, spec, above: input.ancestors, budget: input.budget ?? {}, division };
    this.planning.begin(position, input.carried);
    listenToAll(this.planning);
    listenToDivision(this.planning);
  }

  async run(): Promise<TaskResult> {
    await this.planning.drive();
    this.planning.finish();
    const state = defined(this.planning.state);
    const direct = state.tasks.length === 0 && state.status.closing === undefined;
    const handoff = boundedHandoff(this.handoff(), MAX_HANDOFF_CHARS);
    await this.tell(handoff, direct);
    const result: TaskResult = { handoff, outcome: { kind: 'none' }, conflictMetrics: NO_METRICS, conflicts: 0 };
    return direct ? { ...result, direct } : result;
  }

  /** Cut off, with all that it started: its planner counts what was used. */
  async leave(reason: string): Promise<void> {
    await this.tell(boundedHandoff(this.handoff(reason), MAX_HANDOFF_CHARS), false);
  }

  private handoff(cutOff?: string): Handoff {
    const { tasks, budget, status } = defined(this.planning.state);
    const parts = reportTasks(tasks).map((report, i) => {
      const { files = [], concerns = [], suggestions = [] } = tasks[i]?.outcome.summary ?? {};
      return { report, files, concerns, suggestions };
    });
    const reason = cutOff ?? status.closing?.reason ?? status.refused;
    return { ...aggregateHandoff(parts, budget.metrics, reason), estimated: budget.estimated };
  }

  private async tell(handoff: Handoff, direct: boolean): Promise<void> {
    const { task, attempt, parent } = this.input;
    const { chain } = this.planning;
    const id = `${chain.firstRunId}/handoff`;
    const message = { id, sender: chain, taskId: task.id, attempt, handoff, queued: false };
    await handOff({ parent, message: direct ? { ...message, direct } : message });
  }

  get repo(): string {
    return this.input.run.repo.location;
  }

  /** Its parent's planner decides what becomes of the task. */
  cannotPlan(reason: string): void {
    this.planning.hear((state) => state.closeFor('planning', reason));
  }

  async ask(request: ApprovalRequest): Promise<void> {
    await askRoot(this.input.run.root, request);
  }

  async tend(): Promise<void> {}

  tendAt(): number {
    return Infinity;
  }

  async hasMore(): Promise<boolean> {
    return false;
  }

  async askForWorkers(state: PlannerState, again = false): Promise<void> {
    const need = state.dispatch.takeNeed(again);
    if (need === undefined) return;
    const { task, parent } = this.input;
    const above = getExternalWorkflowHandle(parent.workflowId);
    await quietly(above.signal(workersSignal, { sender: this.planning.chain, taskId: task.id, ...need }));
  }

  async checkIsWanted(state: PlannerState): Promise<void> {
    // The planner above may not have known of this one yet when it asked.
    if (state.dispatch.lacksWorkers) await this.askForWorkers(state, true);
    this.checks += 1;
    if (this.checks % ASK_AGAIN_AFTER_CHECKS === 0) await this.planning.askForPlans(state);
    const ended = await endedAncestor(this.input.ancestors);
    if (ended !== undefined) throw terminal(FailureType.Orphaned, RUN_TEXT.ancestorEnded(ended.workflowId));
  }

  async startAnew(carried: CarriedState): Promise<never> {
    return await continueAsNew<typeof subplanner>({ ...this.input, carried });
  }
}
