/** A client of the right Temporal server: the one that was named, or the embedded one of the state folder. */
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { Client, Connection } from '@temporalio/client';
import { type LoadedConfig, loadConfig } from '../host/load-config.ts';
import { embeddedTarget, externalTarget, type TemporalTarget } from '../host/connection.ts';
import type { CommonOptions, Dependencies } from './dependencies.ts';
import { type Host, type HostDependencies, openHost } from './embedded/host.ts';
import { trySupervisorLock } from './embedded/lock.ts';
import { statePaths } from '../host/server-state.ts';
import { CliError } from './errors.ts';
import type { Io } from './io.ts';
import { cliText } from './text.ts';

/** A worker that is asked to stop has this long beyond its grace before it is killed. */
const BEYOND_GRACE_MS = 15_000;
const CONNECT_TIMEOUT_MS = 10_000;

export type Session = {
  loaded: LoadedConfig;
  target: TemporalTarget;
  client: Client;
  /** The embedded server and worker, where this command carries them or may have to. */
  host: Host | null;
  /** The run's page in the Web UI, or null where that is not known. */
  uiLink(run: string): string | null;
  /** Ends what is our own; `force` at once. Only the first call counts. The connection ends with the process. */
  close(force: boolean): Promise<void>;
};

export type SessionContext = {
  io: Io;
  dependencies: Dependencies;
  options: CommonOptions;
  /** One line for the person, wherever it fits between what else is shown. */
  say: (line: string) => void;
};

export async function load({ io, options }: SessionContext): Promise<LoadedConfig> {
  const { cwd, env } = io;
  const loaded = await loadConfig({
    cwd,
    env,
    ...(options.config === undefined ? {} : { configPath: options.config }),
    ...(options.stateDir === undefined ? {} : { stateDir: options.stateDir }),
  });
  return loaded;
}

/** What carries an embedded host of this command. `worker: false`: the server only, to look at what is stored. */
export function hostDependencies(
  { io, dependencies, say }: SessionContext,
  loaded: LoadedConfig,
  { worker }: { worker: boolean },
): HostDependencies {
  const { config, path, stateDir } = loaded;
  const options = ['--state-dir', stateDir, ...(path === undefined ? [] : ['--config', path])];
  return {
    findServer: dependencies.findServer,
    startServer: dependencies.startServer,
    worker: worker
      ? {
          argv: [...dependencies.self, 'worker', ...options],
          cwd: io.cwd,
          env: io.env,
          graceMs: config.worker.shutdownGraceSeconds * 1_000 + BEYOND_GRACE_MS,
        }
      : null,
    async preflight() {
      if (!worker) return;
      say(cliText.checking);
      const { ready, warnings } = await dependencies.preflight({ config, env: io.env });
      for (const warning of warnings) say(warning);
      say(ready);
    },
    say,
  };
}

/** Makes the state folder and gives its real path: locks and processes are told apart by it. */
export function realStateDir(loaded: LoadedConfig): LoadedConfig {
  try {
    mkdirSync(loaded.stateDir, { recursive: true, mode: 0o700 });
    return { ...loaded, stateDir: realpathSync(loaded.stateDir) };
  } catch (error) {
    throw new CliError(cliText.noStateDir(loaded.stateDir, (error as Error).message), { cause: error });
  }
}

/**
 * For commands that carry a run: the named server, else the embedded one, started when nobody runs it.
 * `onHost` gets the host before anything else can fail, so that a signal can end it.
 */
export async function openSession(context: SessionContext, onHost: (host: Host) => void): Promise<Session> {
  const found = await load(context);
  const external = await externalTarget({ config: found.config, env: context.io.env });
  if (external !== null) return connect(context, found, external, null);
  const loaded = realStateDir(found);
  const host = await openHost(loaded.stateDir, hostDependencies(context, loaded, { worker: true }));
  onHost(host);
  try {
    return await connect(context, loaded, await ownTarget(loaded), host);
  } catch (error) {
    await host.stop(true);
    throw error;
  }
}

/** For commands that only talk: the named server, else the embedded one that runs already. */
export async function joinSession(context: SessionContext): Promise<Session> {
  const loaded = await load(context);
  const external = await externalTarget({ config: loaded.config, env: context.io.env });
  if (external !== null) return connect(context, loaded, external, null);
  const target = isCarried(loaded.stateDir) ? await embeddedTarget(loaded) : null;
  if (target === null) throw new CliError(cliText.noServer(loaded.stateDir));
  return connect(context, loaded, target, null);
}

/** Whether a process carries the embedded server of a state folder now. */
export function isCarried(stateDir: string): boolean {
  if (!existsSync(statePaths(stateDir).lock)) return false;
  const lock = trySupervisorLock(statePaths(stateDir).lock);
  lock?.release();
  return lock === null;
}

export async function ownTarget(loaded: LoadedConfig): Promise<TemporalTarget> {
  const target = await embeddedTarget(loaded);
  if (target === null) throw new CliError(cliText.noServer(loaded.stateDir));
  return target;
}

export async function connect(
  { io }: SessionContext,
  loaded: LoadedConfig,
  target: TemporalTarget,
  host: Host | null,
): Promise<Session> {
  let connection: Connection;
  try {
    connection = await Connection.connect({ ...target.connection, connectTimeout: CONNECT_TIMEOUT_MS });
  } catch (error) {
    const why = (error as Error).message;
    throw new CliError(cliText.unreachable(target.address, cliText.source[target.source], why), { cause: error });
  }
  const { namespace, dataConverter } = target;
  const ui = webUi(target, io.env);
  let closed: Promise<void> | undefined;
  return {
    loaded,
    target,
    client: new Client({ connection, namespace, dataConverter }),
    host,
    uiLink: (run) =>
      ui === null ? null : `${ui}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(run)}`,
    // The connection stays: a retry that the SDK has in mind would throw, outside of any promise, once it is closed.
    close: (force) => (closed ??= host?.stop(force) ?? Promise.resolve()),
  };
}

/** Where the Web UI is, without a slash at the end: known, named, or as Temporal's own servers have it. */
function webUi({ uiUrl, address }: TemporalTarget, env: NodeJS.ProcessEnv): string | null {
  if (uiUrl !== undefined) return uiUrl;
  if (env.TEMPORAL_UI_URL) return env.TEMPORAL_UI_URL.replace(/\/+$/, '');
  const [, name = '', port = '7233'] = /^(.*?)(?::(\d+))?$/.exec(address) ?? [];
  if (name.endsWith('.tmprl.cloud') || name.endsWith('.temporal.io')) return 'https://cloud.temporal.io';
  // The development server's Web UI listens 1,000 ports above its front end.
  return name === 'localhost' || name === '127.0.0.1' ? `http://${name}:${Number(port) + 1_000}` : null;
}
