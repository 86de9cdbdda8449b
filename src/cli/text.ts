/** Every word that the command says, apart from the dashboard's. */
import { shellWord } from '../dashboard/format.ts';
import type { DoctorFinding } from '../doctor/finding.ts';
import type { SuperviseEvent } from './embedded/supervise.ts';

export const helpText = {
  program: 'Turns a git repository and a spec into landed code with many coding agents, durably, on Temporal.',
  run: 'start a run, follow it to its end and print its report',
  repo: 'URL, or path of a bare or ordinary repository or of one of its work trees',
  spec: '@PATH: a file or folder here; a word without white space: a file or folder of the repository; anything else: the spec itself',
  base: 'branch to start from (default: the HEAD of the remote)',
  branch: 'branch to land on (default: agentswarm/<run>)',
  maxWorkers: 'tasks at the same time, those of divisions included',
  approvals: 'what waits for a person: plan, merge',
  deliver: 'branch, or pull-request: propose the branch to the base at the end',
  id: 'id of the run, which is its workflow id (default: made from the repository and the time)',
  detach: 'start it and leave; needs a server that goes on: TEMPORAL_ADDRESS or `agentswarm dev`',
  json: 'print JSON only on standard output; all else goes to standard error',
  stateDir: 'folder of all state (default: AGENTSWARM_STATE_DIR, else agentswarm in $XDG_STATE_HOME or ~/.local/state)',
  config: 'configuration file (default: temporal.config.ts in the current folder)',
  attach: 'follow a run that goes on, or take one up that has no server and worker any more',
  status: 'list runs, or show one',
  green: 'which commit of a repository is known to pass its checks',
  greenBranch: 'print the commit of this branch only',
  schedule: 'runs that check a branch at set times and mend what fails',
  scheduleCreate: 'have a branch checked and mended at set times; prints the id of the schedule',
  scheduleCron: 'when: minute, hour, day of month, month, day of week, as in "0 2 * * *"',
  scheduleTimezone: 'of these times, as in Europe/Berlin (default: UTC)',
  scheduleBranch: 'branch to mend (default: agentswarm/<run>, made from the base each time)',
  scheduleId: 'id of the schedule, which begins the ids of its runs (default: made from the repository)',
  scheduleList: 'the schedules, when each is due, and its newest runs',
  scheduleTrigger: 'start its run now, unless one is open',
  schedulePause: 'start no further runs until resumed; one that is open goes on',
  scheduleResume: 'let a paused schedule go on',
  scheduleDelete: 'forget a schedule; a run that is open goes on',
  endpoints: 'how the LLM endpoints stand, as the workers of this state folder see them',
  doctor: 'what this machine has, isolates and limits; exits with 1 when a run would be refused here',
  doctorRepository:
    'path of a local repository: what a run would find there, too (default: the current folder, when it is in one)',
  dev: 'server, Web UI and worker until stopped; takes its state up again',
  worker: 'a worker for the server that TEMPORAL_ADDRESS, temporal.toml or `agentswarm dev` gives',
  steer: 'tell the planner of a run, and those below it, something',
  pause: 'make no further LLM calls until resumed',
  resume: 'let a paused run go on',
  cancel:
    'end a run, or one task with all below it, in good order: agents hand off what there is, what waits to land lands',
  freeze: 'let nothing land on a branch, until it is thawed',
  thaw: 'let work land again on a branch that is frozen, by a person or for being red',
  queueBranch: 'the branch of the repository that runs land on',
  abort: 'end a run, or one task with all below it, at once: what has not landed is left, landed work stays',
  grace: 'minutes that running agents have to hand off (default: 10); then they are stopped',
  add: 'add a task to a run; it starts as soon as it can',
  addId: 'id of the task (default: made from its text)',
  addScope: 'paths that it may touch; one that ends in / is a folder',
  addAfter: 'tasks that it waits for',
  addCheck: 'shell commands that succeed in its sandbox when it is done',
  addPriority: '1 is first, 10 is last (default: 3)',
  division: 'of the division of a task, by its path, instead of the run',
  retry: 'try a task again that failed, was cancelled or did not land, and what was cancelled because of it',
  retryTell: 'told to its agent',
  release: 'land the work of a task that a guard holds, as it is: it weakens tests, or removes what others have landed',
  approve: 'approve what a run waits for: a plan, or a landing; names are in `agentswarm status <run>`',
  approveAll: 'all that waits',
  reject: 'reject what a run waits for: a plan is made anew, work is not landed',
  rejectReason: 'why; the planner is told',
  limits: 'change the limits of a run that goes on',
  maxAttempts: 'how often a task is tried by itself',
  limitUsd: 'new budget in US dollars, in all',
  limitTokens: 'new budget in tokens, in all',
  finish: 'begin nothing more: what is under way lands, then the run ends',
  task: 'a task that is under way, by its path: group/alpha is the subtask alpha of the task group',
  reason: 'why, for whoever looks at it',
  after: `
Exit codes:
  0    the run is complete (or the command did what was asked)
  1    the run failed or is incomplete, or something failed on the way
  2    wrong usage or input; nothing was started
  130  detached: Ctrl-C while following

Temporal: TEMPORAL_ADDRESS, or the profile of temporal.toml, or temporal.address in temporal.config.ts; without
these a server and a worker of its own, with their state in the state folder.

Environment:
  LLM_ENDPOINTS, OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL, ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL, ANTHROPIC_MODEL
                        the models that the worker calls
  AGENTSWARM_STATE_DIR  where state is kept
  AGENTSWARM_GIT_TOKEN  for https remotes; AGENTSWARM_GIT_TOKEN_HOSTS limits where it is sent
  AGENTSWARM_LOG_LEVEL  of the worker's log: debug, info, warn, error
  TEMPORAL_UI_URL       where the Web UI of a server of your own is, for links
  AGENTSWARM_DEBUG=1    errors with their stack
All of them: docs/configuration.md`,
} as const;

export const doctorText = {
  state: (state: DoctorFinding['state'], blocks: boolean) =>
    blocks ? 'REFUSED' : { full: 'ok', partly: 'partly', missing: 'missing' }[state],
  remedy: (text: string) => `→ ${text}`,
  ready: 'A run can start here.',
  refused: (names: readonly string[]) => `A run would be refused here: ${names.join(', ')}.`,
  notLocal: (named: string) =>
    `"${named}" is not on this machine: name the path of a repository. Whether a remote can be used is seen when a run starts.`,
} as const;

export const cliText = {
  error: (message: string) => `agentswarm: ${message}`,
  badInput: (issues: string) => `The input of the run is not valid:\n${issues}`,
  emptySpec:
    'The spec is empty. Give --spec a path in the repository, @PATH of a file or folder here, or the text itself.',
  emptySpecFile: (path: string) => `The spec ${path} is empty. Write into it what is to be built.`,
  specFolderEmpty: (path: string) => `The spec ${path} is a folder without a text. Write into it what is to be built.`,
  specFolderFiles: (path: string, most: number) =>
    `The spec ${path} is a folder of more than ${most} files. Name a smaller folder, or one file.`,
  specFolderBytes: (path: string, bytes: number, most: number) =>
    `The spec ${path} is a folder with ${bytes} bytes of text; at most ${most} are shown to a planner. ` +
    'Name a smaller folder, or commit it to the repository, where agents can read all of it, and name its path there.',
  unreadableSpec: (path: string, why: string) =>
    `Reading the spec ${path} failed: ${why}. Without the "@" it would be taken as a path in the repository.`,
  badRunId: (id: string) =>
    `"${id}" cannot be the id of a run: it is 1 to 80 of letters, digits, ".", "_" and "-", and starts with a letter or digit.`,
  notPositive: (option: string, text: string) => `${option} takes a whole number of at least 1, not "${text}".`,

  supervised: (event: SuperviseEvent) =>
    event.kind === 'ended'
      ? `the ${event.name} ended (${event.how}); it is started again in ${event.restartMs / 1_000} s`
      : `the ${event.name} runs again (pid ${event.pid})`,
  holderSilent: (stateDir: string, ms: number) =>
    `Another process holds ${stateDir}, but its server did not start within ${ms / 1_000} s. Look at server.log there, end ` +
    'that process, or give another --state-dir.',
  waitingForHolder: (stateDir: string) => `waiting for the server that another process starts for ${stateDir}`,
  alreadyRunning: (stateDir: string, uiUrl: string | undefined) =>
    `A server for ${stateDir} is run by another process already${uiUrl === undefined ? '' : ` (Web UI: ${uiUrl})`}. Use it ` +
    '(run, attach and status find it), end that process, or give another --state-dir.',
  noState: (stateDir: string) => `The server of ${stateDir} left no record. Start it again.`,
  startingServer: (port: number, stateDir: string) =>
    `starting a Temporal server on port ${port}, state in ${stateDir}`,
  startingWorker: (log: string) => `starting a worker, log in ${log}`,
  movedAway: (from: string, to: string | undefined) =>
    `The server came back at ${to ?? 'no address'}, as the port of ${from} had been taken by another process.`,
  stillStopping: 'waiting for calls in flight of other runs, as they are paid for; Ctrl-C twice ends at once',
  takingOver: 'the process that ran the server and worker has ended: taking over',
  green: ({ branch, green, tip }: { branch: string; green: string | null; tip: string | null }) =>
    green === null
      ? `${branch}: no commit is known to be green`
      : `${branch}: ${green}${tip === green ? ', its tip' : tip === null ? ', and there is no such branch any more' : `; its tip is ${tip}`}`,
  notGreen: (repo: string, branch: string | undefined) =>
    `No commit${branch === undefined ? '' : ` of ${branch}`} in ${repo} is known to pass its checks. A run finds out, and so does \`agentswarm schedule create ${repo} --cron "0 2 * * *"\`.`,
  schedule: (row: { id: string; repo?: string; cron?: string; paused: boolean; next: string | null; runs: string[] }) =>
    [
      row.id,
      row.cron ?? '',
      row.repo ?? '',
      row.paused ? 'paused' : `next ${row.next ?? 'never'}`,
      ...row.runs.slice(-1),
    ].join('  '),
  scheduleExists: (id: string) => `There is a schedule ${id} already: delete it first, or give another --id.`,
  noSchedule: (id: string) => `There is no schedule ${id}; \`agentswarm schedule list\` shows those there are.`,
  scheduleRefused: (id: string, why: string) => `The server did not take that for schedule ${id}: ${why}`,
  pausedByCommand: 'paused by agentswarm schedule pause',
  resumedByCommand: 'resumed by agentswarm schedule resume',
  checking: 'checking the LLM endpoints',
  endpointsReady: (names: readonly string[]) => `ready: LLM endpoints ${names.join(', ')}`,
  endpointsAway: (names: readonly string[]) =>
    `going on without a model; work begins when one of these answers: LLM endpoints ${names.join(', ')}`,

  unreachable: (address: string, source: string, why: string) =>
    `Connecting to Temporal at ${address} (from ${source}) failed: ${why}. Check that the server runs and the address, ` +
    'namespace and credentials are right; without TEMPORAL_ADDRESS and temporal.toml a server of its own is used.',
  source: { environment: 'TEMPORAL_ADDRESS or temporal.toml', config: 'temporal.config.ts', embedded: 'server.json' },
  noServer: (stateDir: string) =>
    `No Temporal server runs: TEMPORAL_ADDRESS is not set and nothing runs for ${stateDir}. Start \`agentswarm dev\`, or ` +
    '`agentswarm attach <run>` to take a run up again.',
  noWorkerEndpoints: (stateDir: string) =>
    `No worker runs with the state folder ${stateDir}: only a worker knows how its LLM endpoints stand. Start one (\`agentswarm ` +
    'dev`, `agentswarm worker`), or give its --state-dir.',
  noStateYet: (stateDir: string) => `No run has been started here: there is no state in ${stateDir}.`,
  devWithAddress: (address: string) =>
    `TEMPORAL_ADDRESS or a profile names the server ${address}, but \`agentswarm dev\` runs one of its own. Unset it, or start ` +
    '`agentswarm worker` for that server.',
  detachNeedsServer:
    'With --detach nobody would carry the run on: the server and worker of this command end with it. Start `agentswarm dev` ' +
    'in another terminal (or set TEMPORAL_ADDRESS) and try again.',
  noPollers: (queue: string, address: string) =>
    `no worker polls the task queue "${queue}" at ${address}: the run waits until an \`agentswarm worker\` is started there`,

  repository: (root: string, bare: boolean) => `repository: ${root}${bare ? ' (bare)' : ''}`,
  linkedWorkTree: (root: string, tree: string) => `repository: ${root}, of which ${tree} is a work tree`,
  notLookedAt: (why: string, remedy: string) => `${why}. ${remedy}`,
  startsFrom: (head: string, other: string, option: string | null) =>
    `the run starts from ${head}, the HEAD of the repository, not from ${other}${option === null ? '' : `: give ${option} for that`}`,
  uncommitted: (files: number) =>
    files === 1
      ? '1 file with uncommitted changes is not part of this run: commit it first if it should be'
      : `${files} files with uncommitted changes are not part of this run: commit them first if they should be`,
  targetCheckedOut: (branch: string, path: string) => `the branch ${branch} is checked out in ${path}`,
  shallow: (root: string) =>
    `${root} is a shallow clone, of which git fetches nothing: git -C ${shellWord(root)} fetch --unshallow gets the rest`,
  started: (run: string) => `run ${run} has started`,
  taken: (run: string) => `following run ${run}`,
  ui: (link: string) => `Web UI: ${link}`,
  uiUnknown: (namespace: string, run: string) =>
    `in the Web UI of your server: namespace ${namespace}, workflow ${run} (set TEMPORAL_UI_URL for a link)`,
  detachHint: 'Ctrl-C detaches',
  noPlace: (run: string, path: string) =>
    `Nothing is under way at "${path}" of run ${run}. See \`agentswarm status ${run}\`.`,
  alreadyGoesOn: (run: string) =>
    `A run "${run}" is going on already. Follow it with \`agentswarm attach ${run}\`, or choose another --id.`,
  noRun: (run: string, address: string) =>
    `There is no run "${run}" on ${address}. \`agentswarm status\` lists the runs that the server knows.`,
  notARun: (run: string, type: string) =>
    `"${run}" is a workflow of type ${type}, not a run. See \`agentswarm status\`.`,
  startFailed: (run: string, address: string, why: string) =>
    `Starting run ${run} on ${address} failed: ${why}. Check the namespace and your rights there, then try again.`,
  lookFailed: (run: string, address: string, why: string) =>
    `Looking for run ${run} on ${address} failed: ${why}. Check that the server runs, then try again.`,
  endedAlready: (run: string, status: string) =>
    `Run ${run} has ended already (${status}). See \`agentswarm status ${run}\`.`,
  strangeResult: (run: string, why: string) =>
    `Run ${run} ended with a result that is not a report: ${why}. Was it started by another version? Look at it in the Web UI.`,
  noStateDir: (stateDir: string, why: string) =>
    `The state folder ${stateDir} cannot be made: ${why}. Give another --state-dir, or set AGENTSWARM_STATE_DIR.`,
  ended: (run: string, status: string, why: string) => `Run ${run} ended without a report (${status}): ${why}`,
  silent: (why: string) => `no news of the run: ${why}; looking again`,
  newsAgain: 'the run can be seen again',
  serverAway: 'the server does not answer',
  workerAway: 'no worker answers',

  detached: (attach: string) => `Detached. The run goes on. Follow it again: ${attach}`,
  detachedOwn: (attach: string) => `Detached. The run stands still now, nothing is lost. Take it up again: ${attach}`,
  stopping: 'stopping: calls that are in flight are finished first, as they are paid for; Ctrl-C again stops at once',
  hostLost: (run: string, why: string, attach: string) =>
    `The server and worker of run ${run} could not be kept running: ${why}\nThe run is kept. Mend the cause, then: ${attach}`,

  devReady: 'ready; Ctrl-C stops the server and the worker, their state stays',
  devAddress: (address: string) => `Temporal: ${address}`,
  devOpen: (run: string) => `takes up run ${run}`,
  devStart: 'start a run from another terminal: agentswarm run <repo> --spec <spec>',
  workerReady: 'worker is ready',
  workerGraceOver: 'the worker did not end in time and is ended now; what was in flight is tried again by the next one',

  cancelling: (run: string) => `run ${run} is being cancelled; \`agentswarm attach ${run}\` shows its end`,
  noAnswer: (what: string, run: string, seconds: number) =>
    `No worker answered "${what}" for run ${run} within ${seconds} s. Start one (\`agentswarm worker\`, or \`agentswarm attach ` +
    `${run}\`) and try again.`,
  queueSilent: (what: string, branch: string, seconds: number) =>
    `No worker answered "${what}" for the merge queue of ${branch} within ${seconds} s. Start one (\`agentswarm worker\`) and try again.`,
  refused: (what: string, run: string, why: string) => `Run ${run} refused "${what}": ${why}`,
  emptyTask: 'There is nothing to add: the text is empty.',
  emptyReason: 'Say why: the reason is empty.',
  allOrOne: 'Give a name or --all, not both.',
  noLimits: 'There is nothing to change: give --max-workers, --max-attempts, --usd or --tokens.',
  notAbove0: (option: string, text: string) => `${option} takes a number above 0, not "${text}".`,
  emptySteer: 'There is nothing to tell: the text is empty.',

  noRuns: 'no runs',
  statusHead: ['RUN', 'STATUS', 'STARTED', 'TOOK'] as const,
  notLooked: (run: string, attach: string) =>
    `Run ${run} is open, but no worker answers for it. Take it up: ${attach} (or start \`agentswarm dev\`; for a server ` +
    'of your own, `agentswarm worker`).',
} as const;
