/** The scene of the attacks: a host with a secret, a bystander and listeners; the product isolated, and not. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runProcess } from '../../src/activities/process/run-process.ts';
import type { SandboxLimits } from '../../src/shared/config/worker-config.ts';
import { call, type TestHost, testHost } from '../activities/sandbox/support.ts';
import { temporaryFolder } from '../support/repos.ts';

type Said = { output: string };

/** Small enough that what breaks them is harmless to a machine. */
const LIMITS: Partial<SandboxLimits> = {
  memoryMb: 300,
  processes: 80,
  openFiles: 256,
  fileSizeMb: 40,
  diskMb: 120,
  files: 4_000,
  cpuSeconds: 1,
  outputMb: 4,
  minFreeDiskMb: 0,
};

export class Stage {
  readonly canary = `canary-${randomBytes(8).toString('hex')}`;
  /** A folder of the host that no sandbox has anything to do with. */
  readonly outside: string;
  readonly isolated: TestHost;
  readonly bare: TestHost;
  readonly port: number;
  readonly udpPort: number;
  readonly socket: string;
  readonly abstract: string;
  private readonly folder: { dir: string; remove: () => void };
  private readonly servers: { close(): unknown }[];
  private victims: ChildProcess[] = [];
  private ids = new Map<TestHost, string>();
  private count = 0;

  private constructor(
    parts: Pick<Stage, 'outside' | 'isolated' | 'bare' | 'port' | 'udpPort' | 'socket' | 'abstract' | 'canary'> & {
      folder: Stage['folder'];
      servers: Stage['servers'];
    },
  ) {
    this.canary = parts.canary;
    this.outside = parts.outside;
    this.isolated = parts.isolated;
    this.bare = parts.bare;
    this.port = parts.port;
    this.udpPort = parts.udpPort;
    this.socket = parts.socket;
    this.abstract = parts.abstract;
    this.folder = parts.folder;
    this.servers = parts.servers;
  }

  static async open(): Promise<Stage> {
    const canary = `canary-${randomBytes(8).toString('hex')}`;
    const folder = temporaryFolder('agentswarm-attack-');
    const outside = join(folder.dir, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'secret'), canary);
    const env = { ...process.env, AGENTSWARM_GIT_TOKEN: canary, SSH_AUTH_SOCK: join(outside, 'socket') };
    const isolated = await testHost({ limits: LIMITS, env });
    const bare = await testHost({ unsafe: true, env: { PATH: '/nonexistent' } });
    const answer = (port: { port: number } | string) =>
      new Promise<{ server: Server; at: ReturnType<Server['address']> }>((resolve, reject) => {
        const server = createServer((connection) => {
          connection.on('error', () => undefined);
          connection.end(`${canary}\n`);
        });
        server.once('error', reject);
        const ready = () => resolve({ server, at: server.address() });
        if (typeof port === 'string') server.listen(port, ready);
        else server.listen(port.port, '127.0.0.1', ready);
      });
    const socket = join(outside, 'socket');
    const abstract = `agentswarm-attack-${randomBytes(4).toString('hex')}`;
    const tcp = await answer({ port: 0 });
    const unix = await answer(socket);
    const named = await answer(`\0${abstract}`);
    const udp = createSocket('udp4');
    udp.on('message', (_, { port, address }) => udp.send(canary, port, address));
    await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
    const port = typeof tcp.at === 'object' && tcp.at !== null ? tcp.at.port : 0;
    const servers = [tcp.server, unix.server, named.server, udp];
    return new Stage({
      canary,
      folder,
      outside,
      isolated,
      bare,
      port,
      udpPort: udp.address().port,
      socket,
      abstract,
      servers,
    });
  }

  /** A process of the host: its environment, arguments, memory, folder and an open file hold the canary. */
  async victim(): Promise<number> {
    const { outside, canary } = this;
    const code = `const fs = require('node:fs'); const kept = Buffer.from(process.env.SECRET + '-in-memory'); fs.openSync('secret'); process.on('SIGUSR2', () => fs.writeFileSync('hit', kept)); setInterval(() => kept.length, 1000); console.log('up')`;
    const child = spawn(process.execPath, ['-e', code, canary], {
      cwd: outside,
      env: { PATH: process.env.PATH, SECRET: canary },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.victims.push(child);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    return child.pid ?? 0;
  }

  isAlive(pid: number): boolean {
    const child = this.victims.find((each) => each.pid === pid);
    return child?.exitCode === null && child.signalCode === null;
  }

  endVictims(): void {
    for (const child of this.victims) child.kill('SIGKILL');
    this.victims = [];
  }

  /** A path on the host whose existence is a success. */
  mark = (name: string): string => join(this.outside, `mark-${name}-${++this.count}`);
  isMarked = (mark: string): boolean => existsSync(mark);
  unmark = (mark: string): void => rmSync(mark, { recursive: true, force: true });

  /** A fresh folder of the host for one attack. */
  scratch(): string {
    const dir = join(this.folder.dir, `scratch-${++this.count}`);
    mkdirSync(dir);
    return dir;
  }

  /** As a naive runner: a child of the worker, with its environment. */
  plain = async (command: string, timeoutSeconds = 20): Promise<Said> => {
    const env = { ...process.env, AGENTSWARM_GIT_TOKEN: this.canary, SSH_AUTH_SOCK: this.socket } as Record<
      string,
      string
    >;
    const timeoutMs = timeoutSeconds * 1_000;
    const result = await runProcess(['/bin/bash', '-c', command], { cwd: this.scratch(), env, timeoutMs });
    return { output: `${result.stdout.toString('latin1')}${result.stderr}` };
  };

  /** By the product, with `sandbox.unsafe`. */
  unsafe = (command: string, timeoutSeconds?: number): Promise<Said> => this.tool(this.bare, command, timeoutSeconds);

  /** By the product as it is. */
  sandboxed = (command: string, timeoutSeconds?: number): Promise<Said> =>
    this.tool(this.isolated, command, timeoutSeconds);

  private async tool(host: TestHost, command: string, timeoutSeconds = 20): Promise<Said> {
    const id = await this.sandboxOf(host);
    const { results } = await host.act(id, ++this.count, [call('bash', { command, timeoutSeconds })]);
    return { output: results[0]?.output ?? '' };
  }

  /** One that several attacks share; what one leaves is seen by the next, as in one task. */
  async sandboxOf(host: TestHost): Promise<string> {
    const known = this.ids.get(host);
    if (known !== undefined && (await host.provider.has(known))) return known;
    const id = await host.open();
    this.ids.set(host, id);
    return id;
  }

  /** The next attack gets a sandbox of its own. */
  renew(): void {
    this.ids.clear();
  }

  nextTurn = (): number => ++this.count;

  /** git as a naive host runs it, in a folder that an agent wrote. Never throws. */
  naiveGit(dir: string, ...argv: string[]): void {
    spawnSync('git', argv, {
      cwd: dir,
      env: {
        PATH: process.env.PATH,
        HOME: this.folder.dir,
        GIT_AUTHOR_NAME: 'a',
        GIT_AUTHOR_EMAIL: 'a@b',
        GIT_COMMITTER_NAME: 'a',
        GIT_COMMITTER_EMAIL: 'a@b',
        GIT_TERMINAL_PROMPT: '0',
      },
      timeout: 10_000,
      stdio: 'ignore',
    });
  }

  async close(): Promise<void> {
    this.endVictims();
    for (const server of this.servers) server.close();
    await this.isolated.close();
    await this.bare.close();
    await sleep(50);
    this.folder.remove();
  }
}
