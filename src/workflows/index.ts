/** The workflows, by their types on the wire. */
export { agent } from './agent.ts';
export { mergeQueue } from './merge-queue.ts';
export { planner } from './planner.ts';
export { reconciler } from './reconciler.ts';
export { subplanner } from './subplanner.ts';
export { task } from './task.ts';
