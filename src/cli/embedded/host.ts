/**
 * The embedded server and worker of a state folder. Whoever holds the folder's lock runs both as supervised
 * children; every other process is a guest of the holder, and takes over on the same state and ports when the
 * holder ends.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { CliError } from '../errors.ts';
import { isAlive } from '../../host/processes.ts';
import { cliText } from '../text.ts';
import { type SupervisorLock, trySupervisorLock } from './lock.ts';
import { areFree, choosePorts, endOrphanServers, type StartServer, startServerChild } from './server-child.ts';
import { readServerState, type ServerState, statePaths } from '../../host/server-state.ts';
import { supervise, type Supervised, type SuperviseEvent } from './supervise.ts';
import { startWorkerChild } from './worker-child.ts';

export type HostDependencies = {
  /** Finds (or gets) the server's executable. */
  findServer: (say: (line: string) => void) => Promise<string>;
  startServer: StartServer;
  /** What runs `agentswarm worker` for a state folder; null: a server without a worker. */
  worker: { argv: readonly [string, ...string[]]; cwd: string; env: NodeJS.ProcessEnv; graceMs: number } | null;
  /** Throws when a worker here could do no work (no endpoint, no sandbox). Asked before anything starts. */
  preflight: () => Promise<void>;
  say: (line: string) => void;
};

export type Host = {
  readonly state: ServerState;
  /** Whether the children are this process's own by now. */
  readonly owned: boolean;
  /** Rejects when nobody carries the work on any more, with the reason. Never resolves. */
  readonly lost: Promise<never>;
  /** Ends what is our own; `force` at once. As a guest: leaves. Resolves when all has ended. Only the first call counts. */
  stop(force: boolean): Promise<void>;
  /** For the last moment of the process: kills what is our own, without waiting. */
  kill(): void;
};

const STARTING_DEADLINE_MS = 180_000;
const POLL_MS = 300;

/** Runs the embedded server of a state folder, or joins the process that does. */
export async function openHost(stateDir: string, dependencies: HostDependencies): Promise<Host> {
  const deadline = Date.now() + STARTING_DEADLINE_MS;
  for (let reported = false; ; reported = true) {
    const lock = trySupervisorLock(statePaths(stateDir).lock);
    if (lock !== null) return asHost(stateDir, await own(stateDir, lock, dependencies), dependencies);
    const state = readServerState(stateDir);
    if (state?.pid !== undefined && isAlive({ pid: state.pid })) return asHost(stateDir, null, dependencies);
    if (Date.now() > deadline) throw new CliError(cliText.holderSilent(stateDir, STARTING_DEADLINE_MS));
    if (!reported) dependencies.say(cliText.waitingForHolder(stateDir));
    await delay(POLL_MS);
  }
}

/** As openHost, but throws when another process already runs it. */
export async function openOwnHost(stateDir: string, dependencies: HostDependencies): Promise<Host> {
  const { lock: path } = statePaths(stateDir);
  let lock = trySupervisorLock(path);
  // A command that only asks whether there is a holder has the lock for a moment.
  for (let tries = 0; lock === null && tries < 5; tries++) {
    await delay(POLL_MS / 2);
    lock = trySupervisorLock(path);
  }
  if (lock === null) throw new CliError(cliText.alreadyRunning(stateDir, readServerState(stateDir)?.uiUrl));
  return asHost(stateDir, await own(stateDir, lock, dependencies), dependencies);
}

type Own = { server: Supervised; worker: Supervised | null; lock: SupervisorLock; givenUp: Promise<Error> };

async function own(stateDir: string, lock: SupervisorLock, dependencies: HostDependencies): Promise<Own> {
  const { findServer, startServer, preflight, say, worker: workerCommand } = dependencies;
  const onEvent = (event: SuperviseEvent): void => say(cliText.supervised(event));
  const superviseServer = async (binary: string, tries = 3): Promise<Supervised> => {
    const ports = await choosePorts(stateDir);
    say(cliText.startingServer(ports.port, stateDir));
    const start = () => startServerChild({ lock, stateDir, binary, ports, startServer });
    try {
      return await supervise({ name: 'Temporal server', start, onEvent });
    } catch (error) {
      // Another process may take a port between our look and the server's start, and have given it back by now.
      const taken = /address already in use/.test(String(error)) || !(await areFree(ports));
      if (tries > 1 && taken) return superviseServer(binary, tries - 1);
      throw error;
    }
  };
  let server: Supervised | null = null;
  try {
    await preflight();
    const binary = await findServer(say);
    await endOrphanServers(stateDir, lock);
    server = await superviseServer(binary);
    const { workerLog: logFile } = statePaths(stateDir);
    let worker: Supervised | null = null;
    if (workerCommand !== null) {
      say(cliText.startingWorker(logFile));
      worker = await supervise({
        name: 'worker',
        start: () => startWorkerChild({ ...workerCommand, logFile }),
        onEvent,
      });
    }
    const givenUp = Promise.race([server.givenUp, ...(worker === null ? [] : [worker.givenUp])]);
    return { server, worker, lock, givenUp };
  } catch (error) {
    await server?.stop(true);
    lock.release();
    throw error;
  }
}

async function endOwn({ server, worker, lock }: Own, force: boolean): Promise<void> {
  // The worker first: what it has finished must still be told to the server.
  await worker?.stop(force);
  await server.stop(force);
  lock.release();
}

function asHost(stateDir: string, first: Own | null, dependencies: HostDependencies): Host {
  const state = readServerState(stateDir);
  if (state === null) throw new CliError(cliText.noState(stateDir));
  const leaving = new AbortController();
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => undefined); // whoever does not watch it is told by other means
  let mine = first;

  const watch = (what: Own): void => void what.givenUp.then((error) => lost.reject(error));
  const takeOver = async (): Promise<void> => {
    while (!leaving.signal.aborted) {
      const lock = trySupervisorLock(statePaths(stateDir).lock);
      if (lock !== null) {
        dependencies.say(cliText.takingOver);
        mine = await own(stateDir, lock, dependencies);
        watch(mine);
        const address = readServerState(stateDir)?.address;
        if (address !== state.address) throw new CliError(cliText.movedAway(state.address, address));
        return;
      }
      await delay(POLL_MS, undefined, { signal: leaving.signal }).catch(() => undefined);
    }
  };
  if (mine !== null) watch(mine);
  const guest = mine === null ? takeOver().catch((error: unknown) => lost.reject(error)) : Promise.resolve();

  let stopped: Promise<void> | undefined;
  const stop = async (force: boolean): Promise<void> => {
    leaving.abort();
    await guest;
    if (mine !== null) await endOwn(mine, force);
  };

  return {
    state,
    get owned() {
      return mine !== null;
    },
    lost: lost.promise,
    stop: (force) => (stopped ??= stop(force)),
    kill() {
      mine?.worker?.kill();
      mine?.server.kill();
    },
  };
}
