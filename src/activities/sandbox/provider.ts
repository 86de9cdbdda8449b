/**
 * What a place for sandboxes must do. Everything above it (tools, checkpoints, leases) goes through `exec` only,
 * and never touches a work tree from outside.
 */
import type { NetworkSetting, Registry } from '../../shared/contracts/network.ts';
import type { LocalService } from './network/index.ts';
import type { ExecResult } from '../process/run-process.ts';

export type { ExecResult };

/** Where things are as seen from inside; absolute. */
export type SandboxPaths = {
  workspace: string;
  tmp: string;
  home: string;
  /** Read-only: whole outputs that were cut. */
  output: string;
  /** Read-only: the objects of the host's mirror. */
  objects: string;
  /** The host's own git folder for checkpoints; there only in calls with `git: true`, never for an agent's. */
  git: string;
  /** Read-only: what `setup` made; there only in calls with `setup`. */
  setup: string;
};

export type SandboxSpec = {
  /** `[a-z0-9-]{1,64}`, made by the caller. */
  id: string;
  /** The objects folder of the host's mirror. */
  objects: string;
  /** The most that its commands may ask for, where that is settled when it is made. Default: what agents' may. */
  network?: NetworkSetting;
};

export type ExecOptions = {
  stdin?: Buffer | string;
  /** Absolute, inside. Default: the work tree. */
  cwd?: string;
  env?: Readonly<Record<string, string>>;
  timeoutMs: number;
  signal?: AbortSignal;
  /** Standard error goes into standard output, in order. */
  combine?: boolean;
  /** What is kept of standard output: its first `headBytes` (default 8 MiB) and its last `tailBytes` (default 0). */
  headBytes?: number;
  tailBytes?: number;
  /** The command is killed when it has written more than this. Default: the sandbox's own limit. */
  maxBytes?: number;
  /** When output is cut, the whole is kept under this name in `paths.output`. */
  outputFile?: string;
  /** Mounts the checkpoint's git folder, writable. */
  git?: boolean;
  /** Mounts a result of `setup` (as `archive` made it). */
  setup?: string;
  /** Default `none`. With network, also the host's registry settings (never its tokens). */
  network?: NetworkSetting;
  /** Private registries that the command reaches without their tokens; not with `full`. */
  registries?: readonly Registry[];
  /** One of our own on the command's loopback; not with `full`. */
  service?: LocalService;
};

/** How a command ended, and which of the sandbox's limits it met: sentences for the agent. */
export type SandboxResult = ExecResult & {
  limits?: readonly string[];
  /** What the network's rules refused: sentences for the agent. */
  refused?: readonly string[];
};

export interface SandboxProvider {
  readonly kind: string;
  /** false: commands run as the worker's user, with nothing between. Every report says so. */
  readonly isolated: boolean;
  /** true: its files are not on this host, and code goes in and out through `exec` (see code/transport.ts). */
  readonly remote?: boolean;
  /** One string that changes when what a sandbox offers (system, toolchains) changes. */
  readonly fingerprint: string;
  /** What commands of agents may reach; absent: nothing. */
  readonly agentNetwork?: NetworkSetting;
  paths(id: string): SandboxPaths;
  /** Makes an empty sandbox. Throws when the id exists. */
  create(spec: SandboxSpec): Promise<void>;
  /** Runs a command to its end; all of its processes are gone afterwards. Throws SandboxGone when there is none. */
  exec(id: string, argv: readonly string[], options: ExecOptions): Promise<SandboxResult>;
  /** Keeps a text of the host's in `paths.output`, for commands to read; returns its path. There where `remote` is. */
  keepFile?(id: string, name: string, content: string): Promise<string>;
  /** Kills what runs in it and deletes it. One that is not there is no error. */
  terminate(id: string): Promise<void>;
  list(): Promise<string[]>;
  has(id: string): Promise<boolean>;
  /** ms since the epoch. */
  createdAt(id: string): Promise<number>;
  /** A folder on the host, out of the sandbox's sight, that lives and dies with it. */
  recordDir(id: string): string;
  /** Ends a sandbox but keeps its files in a folder of the host, for `exec({ setup })` of others. */
  archive(id: string, folder: string): Promise<void>;
}
