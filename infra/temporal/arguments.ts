/** The command line of the embedded server. Why each setting is there: docs/decisions and DESIGN's measurements. */

/** `--dynamic-config-value` pairs; values are JSON. */
const DYNAMIC_CONFIG: Record<string, boolean | number | string> = {
  /** Starts activities of the workflow's own queue in the same round trip. */
  'system.enableActivityEagerExecution': true,
  /** Priorities are exact only within one partition. */
  'matching.numTaskqueueReadPartitions': 1,
  'matching.numTaskqueueWritePartitions': 1,
  /** Runs share the slots of a queue. */
  'matching.enableFairness': true,
  /** Without it a timer of 100 ms takes a second. */
  'history.timerProcessorMaxTimeShift': '50ms',
  /** Each new task is put into a list of all since the last acknowledgement: 30 s of them are 7 % of its CPU. */
  'history.transferProcessorUpdateAckInterval': '3s',
  'history.timerProcessorUpdateAckInterval': '3s',
  'history.visibilityProcessorUpdateAckInterval': '3s',
  /** Background work that waits longer for a workflow's lock comes again after 3 s: a quarter of a planner's 100 children did. */
  'history.cacheNonUserContextLockTimeout': '10s',
};

export interface ServerArguments {
  dbFile?: string | undefined;
  ip: string;
  port: number;
  uiPort: number | null;
  namespace: string;
}

/** argv for `temporal`. Write-ahead logging is as fast as memory; FULL makes what was acknowledged durable. */
export function serverArguments({ dbFile, ip, port, uiPort, namespace }: ServerArguments): string[] {
  const args = ['server', 'start-dev', '--ip', ip, '--port', String(port), '--namespace', namespace];
  if (dbFile !== undefined) {
    args.push('--db-filename', dbFile, '--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL');
  }
  if (uiPort === null) args.push('--headless');
  else args.push('--ui-port', String(uiPort), '--ui-disable-news-fetch');
  for (const [key, value] of Object.entries(DYNAMIC_CONFIG)) {
    args.push('--dynamic-config-value', `${key}=${JSON.stringify(value)}`);
  }
  args.push('--log-level', 'warn');
  return args;
}

/** What the server gets of our environment: no key or token of the worker's, and no `TEMPORAL_*` of a client's. */
export function serverEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'TZ', 'GOMAXPROCS', 'GOMEMLIMIT'];
  const picked = Object.fromEntries(kept.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
  // Fewer collections: a tenth of the wall time of 100 agents, for some hundred MB.
  return { ...picked, GOGC: env.GOGC ?? '400' };
}
