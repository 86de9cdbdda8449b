/**
 * How workflows call activities: queues, deadlines, retries. Every wait has a deadline or a heartbeat.
 * `think` is on the workflow's own queue, so that it can be dispatched eagerly.
 */
import { ActivityCancellationType, type ActivityOptions, log, proxyActivities } from '@temporalio/workflow';
import type {
  CheckActivities,
  CommandActivities,
  DeliverActivities,
  FreezeActivities,
  LlmActivities,
  MergeActivities,
  NotifyActivities,
  OpeningActivities,
  RunActivities,
  SandboxActivities,
  SweepActivities,
  TurnActivities,
} from '../../shared/contracts/activities.ts';
import { whyNoResult } from '../../shared/contracts/results.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';

/** So often an activity is run that gives what is no result of it, where its options do not say less. */
const MAX_RESULTS = 3;
const REMEDY = 'Whoever completes an activity by hand has to give what it would have given; fail it instead.';

type Run = (request: unknown) => Promise<unknown>;

/**
 * All activities are called through this one. Whatever is no result (`RESULTS`) is asked for again, and then a failure
 * of that activity (MalformedResult): taken for one, it would fail the workflow task, which is retried for ever.
 */
function proxy<A extends object>(options: ActivityOptions): A {
  const activities = proxyActivities(options) as Record<string, Run>;
  const tries = Math.min(MAX_RESULTS, options.retry?.maximumAttempts ?? MAX_RESULTS);
  const checked = (name: string, run: Run): Run => {
    const once = (request: unknown, tried: number): Promise<unknown> =>
      run(request).then((result) => {
        const why = whyNoResult(name, request, result);
        if (why === undefined) return result;
        const message = `Activity ${name} was completed with what is no result of it: ${why}`.slice(0, 2_000);
        if (tried >= tries) throw terminal(FailureType.MalformedResult, message, REMEDY);
        log.warn('an activity is run again', { reason: message });
        return once(request, tried + 1);
      });
    return (request) => once(request, 1);
  };
  return new Proxy({} as A, {
    get: (_, name) => {
      const run = typeof name === 'string' ? activities[name] : undefined;
      return run === undefined ? undefined : checked(String(name), run);
    },
  });
}

const RETRY = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' } as const;

/** Activities that read and prepare: given up after half an hour of failures that might pass. */
export const runActivities = proxy<Omit<RunActivities, 'prepareRun' | 'findStuck' | 'endWorkflows'>>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '20s',
  scheduleToCloseTimeout: '30m',
  retry: { ...RETRY, maximumAttempts: 10 },
});

/** What cannot go on is looked for again soon. */
export const watchActivities = proxy<Pick<RunActivities, 'findStuck' | 'endWorkflows'>>({
  startToCloseTimeout: '2m',
  heartbeatTimeout: '20s',
  scheduleToCloseTimeout: '5m',
  retry: { ...RETRY, maximumAttempts: 5 },
});

/** Around a sweep: given up after half an hour, and swept again later. */
export const sweepActivities = proxy<SweepActivities>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '20s',
  scheduleToCloseTimeout: '30m',
  retry: { ...RETRY, maximumAttempts: 10 },
});

/** What a person got wrong is said within a minute, also where it might pass: an address that nobody answers. */
export const prepareActivities = proxy<Pick<RunActivities, 'prepareRun'>>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '20s',
  scheduleToCloseTimeout: '30m',
  retry: { ...RETRY, maximumAttempts: 6 },
});

/**
 * An outage of all models costs time, never work: retried for as long as the run lives, each attempt
 * bounded by its heartbeat. A dead worker is noticed after 30 s.
 */
export const thinkOptions: ActivityOptions = {
  startToCloseTimeout: '24h',
  heartbeatTimeout: '30s',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: RETRY,
};
export const thinkActivity = (summary: string): LlmActivities => proxy<LlmActivities>({ ...thinkOptions, summary });

/** A remote that is away delays landings and fails none: retried for as long as the queue lives. */
export const mergeActivities = proxy<
  Omit<MergeActivities, 'handOff' | 'enqueueMerge' | 'tellHealth' | 'answerRequesters'>
>({
  startToCloseTimeout: '30m',
  heartbeatTimeout: '20s',
  retry: RETRY,
});

/** Like landings: a freeze that cannot be read or kept now is, when the remote is back. */
export const freezeActivities = proxy<FreezeActivities>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '20s',
  retry: RETRY,
});

/** A queue that cannot be reached in some ten minutes of tries is an error of ours: the task fails and says so. */
export const enqueueActivities = proxy<Pick<MergeActivities, 'handOff' | 'enqueueMerge' | 'tellHealth'>>({
  startToCloseTimeout: '1m',
  retry: { ...RETRY, maximumAttempts: 25 },
});

/** Best effort, as whoever hears nothing asks again: one requester must not hold up all others. */
export const answerActivities = proxy<Pick<MergeActivities, 'answerRequesters'>>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '20s',
  retry: { ...RETRY, maximumAttempts: 5 },
});

/** Best effort: who is not told now is reminded later, and the run waits all the same. */
export const notifyActivities = proxy<NotifyActivities>({
  startToCloseTimeout: '30s',
  scheduleToCloseTimeout: '10m',
  retry: { ...RETRY, maximumAttempts: 8 },
});

/** An exhausted limit of requests is over within an hour; then the run ends without. */
export const deliverActivities = proxy<DeliverActivities>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '20s',
  scheduleToCloseTimeout: '2h',
  retry: { ...RETRY, maximumInterval: '5m' },
});

/** Slots are the concurrency limiter, so a lease waits in its queue as long as it takes. */
export const holdOptions: ActivityOptions = {
  startToCloseTimeout: '7d',
  heartbeatTimeout: '25s',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { maximumAttempts: 1 },
};

export const adoptOptions: ActivityOptions = { ...holdOptions, scheduleToStartTimeout: '5s' };

/** One turn's tools; a single command may take 30 minutes. */
export const actOptions: ActivityOptions = {
  startToCloseTimeout: '2h',
  scheduleToStartTimeout: '90s',
  heartbeatTimeout: '15s',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { ...RETRY, maximumAttempts: 5 },
};

/**
 * Tools and the next call. Fewer tries than `think` has: where the call cannot be had the activity gives back what
 * the tools gave, and `think` waits for the model.
 */
export const actAndThinkOptions: ActivityOptions = {
  ...actOptions,
  startToCloseTimeout: '24h',
  heartbeatTimeout: '20s',
};

/** Tried as often as a brief; where the call cannot be had it gives back the brief, and `think` waits for the model. */
export const openingActivities = proxy<OpeningActivities>({
  ...thinkOptions,
  retry: { ...RETRY, maximumAttempts: 10 },
});

export const turnActivities = (queue: string, options: ActivityOptions): TurnActivities =>
  proxy<TurnActivities>({ ...options, taskQueue: queue });

export const sandboxActivities = (queue: string, options: ActivityOptions): SandboxActivities =>
  proxy<SandboxActivities>({ ...options, taskQueue: queue });

/** An external agent: bounded by its own limit of minutes; a worker that dies is noticed by its heartbeats. */
export const commandActivities = (queue: string, options: ActivityOptions): CommandActivities =>
  proxy<CommandActivities>({
    ...actOptions,
    startToCloseTimeout: '24h',
    ...options,
    taskQueue: queue,
  });

/** A run of checks waits for a reserved slot as long as it takes; each check has a time limit of its own. */
export const checkActivities = (queue: string, summary: string): CheckActivities =>
  proxy<CheckActivities>({
    startToCloseTimeout: '8h',
    heartbeatTimeout: '20s',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { ...RETRY, maximumAttempts: 5 },
    taskQueue: queue,
    summary,
  });
