/** The workflows, by their types on the wire. */
export { agent } from './agent/agent.ts';
export { mergeQueue } from './merge-queue/merge-queue.ts';
export { planner } from './planner/planner.ts';
export { reconciler } from './reconciler/reconciler.ts';
export { subplanner } from './planner/subplanner.ts';
export { task } from './task/task.ts';
