/** Starts the embedded Temporal server: `temporal server start-dev` with the settings our queues are built on. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { tail } from '../lib/run.mjs';
import { listensOn } from './listener.ts';
import { serverArguments, serverEnvironment } from './arguments.ts';

export interface StartServerOptions {
  /** The `temporal` executable, as `findServer` gives it. */
  binary: string;
  /** SQLite file of the state; absent: in memory, gone with the process. */
  dbFile?: string;
  /** Default 127.0.0.1. */
  ip?: string;
  /** Default: a free one. Give the same one again so that clients find a restarted server. */
  port?: number;
  /** Default: a free one; null: no Web UI. */
  uiPort?: number | null;
  /** The server's output is appended here. */
  logFile: string;
  /** Created where missing, and kept 30 days. */
  namespace: string;
  /** Until it answers, default 60,000. */
  readyTimeoutMs?: number;
}

export interface RunningServer {
  /** host:port of the gRPC front end. */
  address: string;
  port: number;
  /** null without Web UI. */
  uiUrl: string | null;
  uiPort: number | null;
  pid: number;
  /** Resolves when the process has ended, by whatever cause. Never rejects. */
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** SIGTERM to its process group, SIGKILL after 5 s; resolves when it is gone. Idempotent. */
  stop(): Promise<void>;
}

const RETENTION_SECONDS = 30 * 24 * 3_600;
const STOP_GRACE_MS = 5_000;

/**
 * Starts a server and waits until it answers for its namespace.
 * @throws Error with the end of its log when it dies or stays silent, or when a port is taken
 */
export async function startServer(options: StartServerOptions): Promise<RunningServer> {
  const { binary, dbFile, ip = '127.0.0.1', logFile, namespace, readyTimeoutMs = 60_000 } = options;
  const port = await claimPort(ip, options.port);
  const uiPort = options.uiPort === null ? null : await claimPort(ip, options.uiPort);
  await mkdir(dirname(logFile), { recursive: true });
  if (dbFile !== undefined) await mkdir(dirname(dbFile), { recursive: true });

  const log = openSync(logFile, 'a');
  const child = spawn(binary, serverArguments({ dbFile, ip, port, uiPort, namespace }), {
    stdio: ['ignore', log, log],
    detached: true,
    env: serverEnvironment(process.env),
  });
  closeSync(log);
  const ended = endOf(child);
  const server: RunningServer = {
    address: `${ip.includes(':') ? `[${ip}]` : ip}:${port}`,
    port,
    uiUrl: uiPort === null ? null : `http://${ip.includes(':') ? `[${ip}]` : ip}:${uiPort}`,
    uiPort,
    pid: child.pid ?? -1,
    ended,
    stop: () => stopGroup(child, ended),
  };
  try {
    await ready(server, namespace, readyTimeoutMs);
  } catch (error) {
    await server.stop();
    throw new Error(
      `The Temporal server (${binary}) did not start on ${server.address}: ${(error as Error).message}\n` +
        `The end of its log, ${logFile}:\n${tail(readFileSync(logFile, 'utf8'))}`,
      { cause: error },
    );
  }
  return server;
}

function endOf(child: ChildProcess): RunningServer['ended'] {
  return new Promise((resolve) => {
    child.once('error', () => resolve({ code: null, signal: null }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}

async function stopGroup(child: ChildProcess, ended: RunningServer['ended']): Promise<void> {
  if (child.pid === undefined) return;
  if (child.exitCode === null && child.signalCode === null) signalGroup(child.pid, 'SIGTERM');
  const timer = setTimeout(() => signalGroup(child.pid as number, 'SIGKILL'), STOP_GRACE_MS);
  await ended;
  clearTimeout(timer);
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Ready is: the front end answers, and the namespace can be described and keeps its histories for 30 days. What
 * answers may be another server that was faster at this port, while ours is about to end for it.
 */
async function ready(server: RunningServer, namespace: string, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  const died = server.ended.then(({ code, signal }) => {
    throw new Error(`it ended with ${signal ?? (code === null ? 'no code: it could not be run' : `code ${code}`)}`);
  });
  died.catch(() => undefined); // it may also end long after we have returned
  let last: unknown = new Error('it was not asked');
  while (Date.now() < deadline) {
    try {
      if (listensOn(server.pid, server.port) === false) throw new Error(`it does not listen on ${server.port} yet`);
      await Promise.race([keepThirtyDays(server.address, namespace), died]);
      return;
    } catch (error) {
      last = error;
    }
    await Promise.race([sleep(100), died]);
  }
  throw new Error(`it was not ready after ${timeoutMs} ms: ${String(last)}`, { cause: last });
}

async function keepThirtyDays(address: string, namespace: string): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: 2_000 });
  try {
    const { config } = await connection.workflowService.describeNamespace({ namespace });
    const seconds = Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0);
    if (seconds >= RETENTION_SECONDS) return;
    await connection.workflowService.updateNamespace({
      namespace,
      config: { workflowExecutionRetentionTtl: msToTs(RETENTION_SECONDS * 1_000) },
    });
  } finally {
    await connection.close();
  }
}

/** Binds for a moment, so that a port that is taken is said as such, before anything starts. */
function claimPort(ip: string, wanted = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(
        new Error(
          taken
            ? `Port ${wanted} on ${ip} is taken by another process; stop that, or choose another port.`
            : `Port ${wanted} on ${ip} cannot be used: ${error.message}`,
          { cause: error },
        ),
      );
    });
    probe.listen(wanted, ip, () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
