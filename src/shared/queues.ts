/** Names of task queues, all made from the run's queue. Pure. */

/** Leases: its slots are the limit of sandboxes on a host, its priority the order in which tasks get one. */
export const sandboxQueue = (taskQueue: string): string => `${taskQueue}-sandbox`;
/** Leases of conflict agents: slots of their own, so that tasks that wait for merges can never starve them. */
export const reservedQueue = (taskQueue: string): string => `${taskQueue}-sandbox-reserved`;
/** One host's own queue: what must run where a sandbox is. */
export const hostQueue = (taskQueue: string, hostId: string): string => `${taskQueue}-host-${hostId}`;
