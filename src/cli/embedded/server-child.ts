/** The embedded server as a supervised child: same ports and state after every start, recorded in server.json. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningServer, StartServerOptions } from '../../../infra/temporal/start.ts';
import type { SupervisorLock } from './lock.ts';
import { readServerState, type ServerState, statePaths, writeServerState } from '../../host/server-state.ts';
import type { Child } from './supervise.ts';

/** infra/temporal's startServer. */
export type StartServer = (options: StartServerOptions) => Promise<RunningServer>;

const IP = '127.0.0.1';
const NAMESPACE = 'default';
/** Temporal's own defaults, so that its command finds the server without settings. */
const USUAL_PORTS = { port: 7233, uiPort: 8233 } as const;

export type Ports = { port: number; uiPort: number };

/** The ports of last time where they are free, else Temporal's usual ones, else any. */
export async function choosePorts(stateDir: string): Promise<Ports> {
  const last = readServerState(stateDir);
  const candidates = [...(last === null ? [] : [{ port: last.port, uiPort: last.uiPort }]), USUAL_PORTS];
  for (const ports of candidates) {
    if (await areFree(ports)) return ports;
  }
  const port = await freePort(0);
  let uiPort = await freePort(0);
  while (uiPort === port) uiPort = await freePort(0);
  if (port === null || uiPort === null) throw new Error(`No port is free on ${IP}. End what uses them and try again.`);
  return { port, uiPort };
}

export const areFree = async ({ port, uiPort }: Ports): Promise<boolean> =>
  (await freePort(port)) === port && (await freePort(uiPort)) === uiPort;

/** The port itself (or any, for 0) when it can be bound, else null. */
function freePort(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(null));
    probe.listen(port, IP, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : null));
    });
  });
}

/** Starts the server of a state folder. Needs the folder's lock: two servers on one database would ruin it. */
export async function startServerChild(options: {
  lock: SupervisorLock;
  stateDir: string;
  binary: string;
  ports: Ports;
  startServer: StartServer;
}): Promise<Child> {
  const { stateDir, binary, ports, startServer } = options;
  const paths = statePaths(stateDir);
  const server = await startServer({
    binary,
    dbFile: paths.database,
    ip: IP,
    ...ports,
    logFile: paths.serverLog,
    namespace: NAMESPACE,
  });
  const state: ServerState = {
    pid: server.pid,
    address: server.address,
    uiUrl: server.uiUrl ?? `http://${IP}:${ports.uiPort}`,
    namespace: NAMESPACE,
    ...ports,
  };
  writeServerState(stateDir, state);
  return {
    pid: server.pid,
    exited: server.ended.then(({ code, signal }) => signal ?? `code ${code}`),
    async stop(force) {
      if (force) killGroup(server.pid);
      await server.stop();
      writeServerState(stateDir, { ...state, pid: undefined });
    },
    kill: () => killGroup(server.pid),
  };
}

/** SIGKILL to a process group of our own making; one that has ended is no error. */
export function killGroup(pid: number): void {
  signal(-pid, 'SIGKILL');
}

/**
 * Ends servers that outlived their supervisor (which was killed, perhaps before it had written down their pid).
 * They are known by the database in their command line; only Linux tells it.
 */
export async function endOrphanServers(stateDir: string, _lock: SupervisorLock): Promise<void> {
  const { database } = statePaths(stateDir);
  for (let waited = 0; waited < 10_000; waited += 50) {
    const orphans = serversOf(database);
    if (orphans.length === 0) break;
    for (const pid of orphans) if (waited === 0 || waited === 5_000) signal(pid, waited === 0 ? 'SIGTERM' : 'SIGKILL');
    await delay(50);
  }
  const state = readServerState(stateDir);
  if (state?.pid !== undefined) writeServerState(stateDir, { ...state, pid: undefined });
}

function serversOf(database: string): number[] {
  if (!existsSync('/proc/self/cmdline')) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const argv = commandLine(pid);
      return argv.includes('start-dev') && argv.includes(database);
    });
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code)) return [];
    throw error;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
