/** What a worker is started with, by the command or by a process of its own. */
export type WorkerRequest = {
  cwd: string;
  env: NodeJS.ProcessEnv;
  /** `--config` and `--state-dir`. */
  configPath?: string;
  stateDir?: string;
  /** Aborted: stop taking work, finish the LLM calls that are paid for, leave sandboxes to the next worker. */
  signal: AbortSignal;
  onReady?: () => void;
};
