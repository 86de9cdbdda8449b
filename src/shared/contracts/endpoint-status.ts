/**
 * How a worker's LLM endpoints stand. Each worker process keeps it in a file of the state folder, which
 * `agentswarm endpoints` reads.
 */
import { z } from 'zod';

/** Below the state folder; one `<pid>.json` for each worker process. */
export const ENDPOINTS_FOLDER = 'endpoints';
/** It is written anew so often, also when nothing has changed: an older one is of a worker that hangs or has died. */
export const ENDPOINTS_EVERY_MS = 2_000;

const count = z.number().int().nonnegative();

const EndpointModel = z.object({
  name: z.string(),
  /** new: not asked yet. slow: gets no new conversations. refused: key or model, for the moment. */
  standing: z.enum(['normal', 'slow', 'new', 'refused']),
  /** Means of the newest answers; absent where there are none. */
  firstTokenMs: z.number().nonnegative().optional(),
  tokensPerSecond: z.number().nonnegative().optional(),
});

export const EndpointStatus = z.object({
  name: z.string(),
  provider: z.string(),
  models: z.array(EndpointModel),
  /** probing: one call finds out whether it is back. throttled: it asked for time. */
  health: z.enum(['up', 'down', 'probing', 'throttled']),
  failuresInARow: count,
  /** Of being down, ms since the epoch. */
  downSince: z.number().optional(),
  /** When it is asked again, ms since the epoch. */
  nextTryAt: z.number().optional(),
  inFlight: count,
  /** Calls at once: as configured, or fewer where it said "not now". Absent: no limit is known. */
  concurrency: z.number().positive().optional(),
  /** Left of the minute's worth, and all of it. */
  requests: z.object({ left: z.number(), perMinute: z.number() }).optional(),
  tokens: z.object({ left: z.number(), perMinute: z.number() }).optional(),
  /** Since the worker started. */
  totals: z.object({
    requests: count,
    answered: count,
    failed: count,
    throttled: count,
    inputTokens: count,
    cachedInputTokens: count,
    outputTokens: count,
    costUsd: z.number().nonnegative(),
  }),
  lastFailure: z.object({ at: z.number(), message: z.string() }).optional(),
});
export type EndpointStatus = z.infer<typeof EndpointStatus>;

export const WorkerEndpoints = z.object({
  version: z.literal(1),
  pid: z.number().int().positive(),
  /** ms since the epoch. */
  startedAt: z.number(),
  at: z.number(),
  endpoints: z.array(EndpointStatus),
  /** Calls that have no endpoint to ask now, and since when the first of them. */
  waiting: z.object({ calls: count, since: z.number().optional() }),
});
export type WorkerEndpoints = z.infer<typeof WorkerEndpoints>;
