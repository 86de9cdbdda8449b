/** A Temporal server of a test's own, with its state on disk and a fixed address: it can be killed and come back. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { findServer } from '../../infra/temporal/find.mjs';
import { type RunningServer, startServer } from '../../infra/temporal/start.ts';

export class OwnServer {
  readonly client: Client;
  readonly logFile: string;
  private readonly binary: string;
  private readonly dbFile: string;
  private running: RunningServer;

  private constructor(options: { dir: string; binary: string; running: RunningServer; client: Client }) {
    this.binary = options.binary;
    this.running = options.running;
    this.client = options.client;
    this.dbFile = join(options.dir, 'temporal.db');
    this.logFile = join(options.dir, 'temporal.log');
  }

  /** Its database and log are in `dir`. */
  static async start(dir: string): Promise<OwnServer> {
    const { file: binary } = await findServer({ say: (line) => process.stderr.write(`Temporal server: ${line}\n`) });
    const running = await startServer({
      binary,
      dbFile: join(dir, 'temporal.db'),
      logFile: join(dir, 'temporal.log'),
      uiPort: null,
      namespace: 'default',
    });
    const client = new Client({ connection: await Connection.connect({ address: running.address }) });
    return new OwnServer({ dir, binary, running, client });
  }

  get address(): string {
    return this.running.address;
  }

  get pid(): number {
    return this.running.pid;
  }

  /** SIGKILL to its process group; resolves when it is dead. */
  async kill(): Promise<void> {
    process.kill(-this.running.pid, 'SIGKILL');
    await this.running.ended;
  }

  /** At the same address, from the same database. The port of a process just killed may be busy for a moment. */
  async restart(): Promise<void> {
    const { port } = this.running;
    for (let tries = 1; ; tries++) {
      try {
        this.running = await startServer({
          binary: this.binary,
          dbFile: this.dbFile,
          logFile: this.logFile,
          uiPort: null,
          namespace: 'default',
          port,
        });
        return;
      } catch (error) {
        if (tries >= 20) throw error;
        await sleep(250);
      }
    }
  }

  log(): string {
    return existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : '';
  }

  async stop(): Promise<void> {
    await this.client.connection.close();
    await this.running.stop();
  }
}
