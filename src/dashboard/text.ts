/** Every word that the terminal dashboard and the report show. */
import type { PullRequest } from '../shared/contracts/deliver.ts';
import type { RunReport, TaskReport } from '../shared/contracts/run.ts';
import type { Phase } from '../shared/contracts/snapshot.ts';

export const STATUS_WORD: Readonly<Record<TaskReport['status'], string>> = {
  pending: 'pending',
  assigned: 'starting',
  running: 'running',
  complete: 'complete',
  failed: 'failed',
  cancelled: 'cancelled',
};

export const PHASE_WORD: Readonly<Record<Phase, string>> = {
  preparing: 'preparing',
  planning: 'planning',
  running: 'running',
  finalizing: 'finishing',
  done: 'done',
};

export const RUN_STATUS_WORD: Readonly<Record<RunReport['status'], string>> = {
  complete: 'complete',
  incomplete: 'incomplete: not all work landed',
  failed: 'failed',
  cancelled: 'cancelled',
};

export const UNSAFE =
  "Sandboxes ran WITHOUT isolation (sandbox.unsafe is true): what the agents ran had this user's rights.";

/** What held work does. */
export const HELD_WORD: Readonly<Record<NonNullable<TaskReport['held']>, string>> = {
  guard: 'removes what others have landed',
  tamper: 'makes tests or checks weaker',
};

export const progressText = {
  head: (run: string, phase: string, elapsed: string) => `${run}  ${phase}  ${elapsed}`,
  paused: (reason: string) => `PAUSED: ${reason}`,
  tasks: (counts: string) => `tasks    ${counts}`,
  noTasks: 'tasks    none yet',
  landing: (landed: number, queued: number, target: string) =>
    `landed   ${landed} on ${target}${queued > 0 ? `, ${queued} in the merge queue` : ''}`,
  cost: (input: string, output: string, cost: string, replans: number) =>
    `tokens   ${input} in, ${output} out   cost ${cost}   replans ${replans}`,
  budget: (spent: string) => `budget   ${spent}`,
  approval: (name: string, kind: string, text: string) => `APPROVE  ${name} (${kind}): ${text}`,
  held: (run: string, id: string, why: string) =>
    `HELD     ${id}, as it ${why}: agentswarm release ${run} ${id} lands it as it is`,
  stuck: (type: string, workflow: string, attempts: number, reason: string) =>
    `STUCK    the ${type} ${workflow}: its workflow task fails (attempt ${attempts}): ${reason}`,
  unstick: (command: string, ends: string | null) =>
    `         ${command}, or run a worker with code that can go on${ends === null ? '' : `; the run ends it in ${ends}`}`,
  waiting: (what: string) => `waits    for ${what}`,
  runningTask: (id: string, attempt: number, description: string) =>
    `  ${id}${attempt > 1 ? ` (attempt ${attempt})` : ''}: ${description}`,
  more: (count: number) => `  and ${count} more`,
  unsafe: 'sandboxes are NOT isolated (sandbox.unsafe)',
} as const;

export const eventText = {
  phase: (phase: string) => `phase: ${phase}`,
  paused: (reason: string) => `paused: ${reason}`,
  asked: (run: string, name: string, kind: string, text: string) =>
    `waits for your approval: ${kind} ${name}: ${text}; agentswarm approve ${run} ${name}, or reject`,
  resumed: 'goes on',
  waitsForModel: (why: string) => `waiting for a model: ${why}`,
  hasModel: 'no call waits for a model any more',
  stuck: (type: string, workflow: string, reason: string, command: string) =>
    `the ${type} ${workflow} cannot go on, as its workflow task fails: ${reason}; run a worker with code that can, or: ${command}`,
  planned: (id: string, description: string) => `task ${id}: planned: ${description}`,
  started: (id: string, attempt: number) => `task ${id}: started${attempt > 1 ? `, attempt ${attempt}` : ''}`,
  failed: (id: string, reason: string | undefined) => `task ${id}: failed${reason === undefined ? '' : `: ${reason}`}`,
  retried: (id: string) => `task ${id}: will be tried again`,
  complete: (id: string) => `task ${id}: complete`,
  cancelled: (id: string) => `task ${id}: cancelled`,
  queued: (id: string) => `task ${id}: waits for its merge`,
  landed: (id: string, commit: string | undefined) =>
    `task ${id}: landed${commit === undefined ? '' : ` as ${commit.slice(0, 10)}`}`,
  conflicted: (id: string) => `task ${id}: its merge met a conflict`,
  ejected: (id: string, reason: string | undefined) =>
    `task ${id}: not landed${reason === undefined ? '' : `: ${reason}`}`,
  held: (run: string, id: string) => `task ${id}: held; agentswarm release ${run} ${id} lands it as it is`,
  released: (id: string) => `task ${id}: released by a person; its held work lands as it is`,
  replanned: (count: number) => `planned again (${count})`,
  note: (note: string) => `note: ${note}`,
} as const;

export const mergeQueueText = {
  frozen: (target: string, why: string): string => `${target} is ${why}`,
  did: (target: string, what: string): string => `note on ${target}: ${what}`,
  waits: (target: string, why: string): string => `work waits to land on ${target}: ${why}`,
  checking: (target: string, changes: number, checks: number): string =>
    `${changes} change${changes === 1 ? '' : 's'} for ${target} in ${checks} check${checks === 1 ? '' : 's'} at once`,
} as const;

export const reportText = {
  title: (run: string, status: string) => `Run ${run}: ${status}`,
  reason: (reason: string) => `Reason: ${reason}`,
  tasks: 'Tasks',
  noTasks: 'No task was planned.',
  landed: (commit: string) => `landed ${commit}`,
  retained: (ref: string) => `not landed; its work is kept at ${ref}`,
  notLanded: 'not landed',
  warning: (warning: string) => `WARNING: ${warning}`,
  released: (reason: string) => `released by a person${reason === '' ? '' : ` (${reason})`}`,
  attempts: (count: number) => `${count} attempts`,
  conflicts: (count: number) => `${count} ${count === 1 ? 'conflict' : 'conflicts'}`,
  divided: (count: number) => `divided into ${count} tasks`,
  criteria: (met: number, of: number) => `${met} of ${of} criteria met`,
  used: (tokens: string, cost: string, time: string) => `${tokens} tokens, ${cost}, ${time}`,
  successor: (id: string) => `planned anew as ${id}`,
  notDone: 'Not done',
  green: (verdict: string, heals: number) =>
    `checks of the branch: ${verdict}; ${heals} ${heals === 1 ? 'heal' : 'heals'}`,
  numbers: 'Numbers',
  landedOf: (landed: number, all: number) => `${landed} of ${all} tasks landed`,
  rounds: (replans: number, retries: number, conflicts: number, peak: number) =>
    `replans ${replans}, retries ${retries}, conflicts ${conflicts}, at most ${peak} tasks at the same time`,
  tokens: (input: string, cached: string, output: string, cost: string) =>
    `tokens ${input} in (${cached} from the provider's cache), ${output} out; cost ${cost}`,
  budget: (spent: string) => `budget: ${spent}`,
  wall: (elapsed: string) => `wall time ${elapsed}`,
  where: 'Where it is',
  repo: (repo: string, target: string) => `${repo}, branch ${target}`,
  range: (base: string, tip: string) => `from ${base} to ${tip}`,
  pullRequest: ({ url, into, state }: PullRequest) =>
    `pull request into ${into}: ${url}${state === 'open' ? '' : ` (${state})`}`,
  noTip: (base: string) => `from ${base}; the tip could not be read back`,
  clone: (command: string) => `take it over: ${command}`,
  ui: (link: string) => `look at the run: ${link}`,
  uiLater: (link: string, command: string) => `look at the run: ${link} (while ${command} runs)`,
  notes: 'Notes',
} as const;

export const endpointText = {
  worker: (pid: number, age: string) => `worker ${pid}, started ${age} ago`,
  waiting: (calls: number, since: string, age: string, why: string) =>
    `${calls === 1 ? '1 call is' : `${calls} calls are`} waiting for a model since ${since} (${age}): ${why}`,
  limits: 'the limits of the endpoints are reached',
  endpoint: (name: string, provider: string, health: string) => `${name} (${provider})  ${health}`,
  up: (failures: number) => (failures === 0 ? 'up' : `up, its last ${failures} calls failed`),
  down: (age: string, next: string | null) => `DOWN for ${age}${next === null ? '' : `, next try in ${next}`}`,
  probing: (age: string) => `DOWN for ${age}, one call is trying it now`,
  throttled: (next: string | null) => `asks for time${next === null ? '' : `, next try in ${next}`}`,
  standing: { normal: '', slow: ', slow: no new conversations', new: ', not asked yet', refused: ', REFUSED' },
  model: (name: string, standing: string, firstToken: string | null, rate: string | null) =>
    `  model    ${name}${firstToken === null ? '' : `, first token after ${firstToken}`}${rate === null ? '' : `, then ${rate} tokens/s`}${standing}`,
  load: (inFlight: number, most: number | undefined, left: readonly string[]) =>
    `  now      ${inFlight}${most === undefined ? '' : ` of ${most}`} calls${left.map((each) => `, ${each}`).join('')}`,
  left: (left: string, perMinute: string, what: string) => `${left} of ${perMinute} ${what} a minute left`,
  totals: (
    {
      requests,
      answered,
      failed,
      throttled,
    }: { requests: number; answered: number; failed: number; throttled: number },
    [input = '', cached = '', output = '']: readonly string[],
    cost: string,
  ) =>
    `  so far   ${requests} requests: ${answered} answered, ${failed} failed (${throttled} of them 429 or 529); ` +
    `tokens ${input} in (${cached} cached), ${output} out; ${cost}`,
  lastFailure: (age: string, message: string) => `  failed   ${age} ago: ${message}`,
} as const;
