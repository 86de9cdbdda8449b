/** What the command needs of the rest of the program; src/cli/main.ts gives the real ones. */
import type { Client } from '@temporalio/client';
import type { LoadedConfig } from '../host/load-config.ts';
import type { WorkerRequest } from '../host/worker-request.ts';
import type { Config } from '../shared/config/worker-config.ts';
import type { StuckWorkflow } from '../shared/contracts/stuck.ts';
import type { DoctorFinding } from '../doctor/finding.ts';
import type { StartServer } from './embedded/server-child.ts';

export type Dependencies = {
  version: string;
  /** Finds or gets the server's executable; resolves with its path. */
  findServer: (say: (line: string) => void) => Promise<string>;
  startServer: StartServer;
  /** Throws when the models cannot be used; resolves with what it found, for the person. */
  preflight: (options: { config: Config; env: NodeJS.ProcessEnv }) => Promise<{ ready: string; warnings: string[] }>;
  /** What this machine can do for runs, and what they would find in a repository; never throws for what it finds. */
  examine: (request: {
    loaded: LoadedConfig;
    env: NodeJS.ProcessEnv;
    repository: { path: string; named: boolean };
  }) => Promise<DoctorFinding[]>;
  /** What a remote says of its green commits. */
  readGreen: (request: {
    location: string;
    branch?: string | undefined;
    env: NodeJS.ProcessEnv;
  }) => Promise<{ branch: string; green: string | null; tip: string | null }[]>;
  /** What of a run cannot go on, as the server says; `queue` is the id of its merge queue. */
  findStuck: (client: Client, of: { run: string; queue?: string | undefined }) => Promise<StuckWorkflow[]>;
  /** Runs until its signal is aborted. */
  runWorker: (request: WorkerRequest) => Promise<void>;
  /** What runs this same command in a process of its own: a Node and its arguments. */
  self: readonly [string, ...string[]];
};

/** The options that every command takes. */
export type CommonOptions = { stateDir?: string; config?: string };
