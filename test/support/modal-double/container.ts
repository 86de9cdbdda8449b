/**
 * What Modal would run in gVisor, as namespaces of this machine: a root file system of its own over the host's /usr,
 * its own processes and network, root with a container's capabilities. The commands in it are real processes.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** Why containers cannot be made here; undefined when they can. */
export function whyNoContainers(): string | undefined {
  if (process.platform !== 'linux') return 'containers need Linux';
  if (process.getuid?.() !== 0) return 'containers with several users need root';
  for (const program of ['bwrap', 'nsenter', 'setpriv', 'python3']) {
    if (!existsSync(`/usr/bin/${program}`)) return `there is no /usr/bin/${program}`;
  }
  return undefined;
}

const BWRAP = '/usr/bin/bwrap';
const NSENTER = '/usr/bin/nsenter';
/** As Docker gives them. */
const CAPABILITIES = ['chown', 'dac_override', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap', 'sys_chroot'];
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export class Container {
  readonly root: string;
  private readonly init: ChildProcess;
  private readonly pid: number;
  readonly ended: Promise<void>;

  private constructor(root: string, init: ChildProcess, pid: number) {
    this.root = root;
    this.init = init;
    this.pid = pid;
    this.ended = new Promise((resolve) => init.once('exit', () => resolve()));
  }

  static async start(options: { dir: string; command: readonly string[]; network: boolean }): Promise<Container> {
    const root = join(options.dir, 'root');
    makeRoot(root);
    const init = spawn(
      BWRAP,
      [
        ...['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--hostname', 'modal', '--die-with-parent'],
        ...(options.network ? [] : ['--unshare-net']),
        ...['--bind', root, '/', '--ro-bind', '/usr', '/usr', '--proc', '/proc', '--dev', '/dev'],
        ...['--info-fd', '3', '--', '/bin/sh', '-c', 'echo ready; exec "$@"', 'sh', ...options.command],
      ],
      { env: { PATH }, stdio: ['ignore', 'pipe', 'inherit', 'pipe'], detached: true },
    );
    const info = init.stdio[3] as NodeJS.ReadableStream;
    const [text] = await Promise.all([said(info, '}'), said(init.stdout as NodeJS.ReadableStream, 'ready')]);
    const pid = (JSON.parse(text) as { 'child-pid': number })['child-pid'];
    return new Container(root, init, pid);
  }

  /** A process inside, with what it is given and nothing of this process's environment. */
  spawn(argv: readonly string[], options: { cwd: string; env: Readonly<Record<string, string>> }): ChildProcess {
    return spawn(
      NSENTER,
      [
        ...['-t', String(this.pid), '-m', '-p', '-i', '-u', '-n', `--wd=${options.cwd}`, '--', 'setpriv'],
        ...[`--bounding-set=-all,${CAPABILITIES.map((name) => `+${name}`).join(',')}`, '--inh-caps=-all', '--'],
        ...argv,
      ],
      { env: { PATH, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'], detached: true },
    );
  }

  /** Inside, at a path of its own. */
  at(path: string): string {
    return join(this.root, path);
  }

  copyOut(path: string, to: string): void {
    cpSync(this.at(path), to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    keepOwners(this.at(path), to);
  }

  copyIn(from: string, path: string): void {
    cpSync(from, this.at(path), { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    keepOwners(from, this.at(path));
  }

  empty(path: string): void {
    rmSync(this.at(path), { recursive: true, force: true });
    mkdirSync(this.at(path));
  }

  async stop(): Promise<void> {
    this.init.kill('SIGKILL');
    try {
      // The first process of its namespace: with it all others go.
      process.kill(this.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    await this.ended;
  }
}

function makeRoot(root: string): void {
  for (const path of ['etc', 'tmp', 'root', 'home', 'opt', 'usr', 'proc', 'dev', 'run', 'var/tmp']) {
    mkdirSync(join(root, path), { recursive: true });
  }
  for (const path of ['tmp', 'var/tmp']) chmodSync(join(root, path), 0o1777);
  for (const name of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']) {
    const stat = lstatSync(`/${name}`, { throwIfNoEntry: false });
    if (stat?.isSymbolicLink() === true) symlinkSync(readlinkSync(`/${name}`), join(root, name));
  }
  for (const path of ['/etc/ld.so.cache', '/etc/alternatives']) {
    if (existsSync(path)) cpSync(path, join(root, path), { recursive: true, verbatimSymlinks: true });
  }
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/bash\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnode:x:1000:\n');
}

/** `cp` of Node's does not. */
function keepOwners(from: string, to: string): void {
  const copied = spawnSync('cp', ['-a', '--attributes-only', '--preserve=all', '-T', '--', from, to]);
  if (copied.status !== 0) throw new Error(`cp of ${from}: ${copied.stderr.toString()}`);
}

/** What a stream has said when it has come to `until`. */
function said(stream: NodeJS.ReadableStream, until: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes(until)) resolve(text);
    });
    stream.once('end', () => reject(new Error(`the container ended before it had begun: ${text}`)));
  });
}
