/** What this host has for its sandboxes: bubblewrap and what it mounts, a clean environment, a shell to keep. */
import { createHash } from 'node:crypto';
import { arch, homedir, release } from 'node:os';
import { dirname } from 'node:path';
import { FailureType, terminal } from '../../../shared/base/failures.ts';
import type { Log } from '../../support/log.ts';
import type { SandboxPaths } from '../provider.ts';
import { makeEtc } from './etc.ts';
import { INSTALL_BUBBLEWRAP, NODE_INSIDE, probeIsolation, systemArgs } from './isolation.ts';
import { loadSeccomp, SECCOMP_FD } from './seccomp/load.ts';
import { makeShell } from './shell.ts';
import { findToolchains } from './toolchains.ts';

export type Isolation = {
  bwrap: string;
  /** bubblewrap's arguments that are the same for all sandboxes. */
  system: readonly string[];
  /** Of system calls, as a descriptor of bubblewrap's and the file that is to be open there. */
  filter?: { fd: number; file: string };
  /** A program on the host, to be mounted. */
  shell: string;
};

export type LocalHost = {
  /** Absent: commands run as the worker's user, with nothing between. */
  isolation?: Isolation;
  /** Why it is absent. */
  unisolated?: string;
  /** See SandboxProvider. */
  fingerprint: string;
  home: string;
  /** As commands find it. */
  node: string;
  /** A clean environment: nothing of the worker's but PATH. */
  environment(paths: SandboxPaths): Record<string, string>;
};

/** @throws SandboxUnavailable when bubblewrap does not work here and `unsafe` is not set. */
export async function prepareHost(options: {
  stateDir: string;
  unsafe: boolean;
  env: Readonly<Record<string, string | undefined>>;
  log: Log;
}): Promise<LocalHost> {
  const { stateDir, unsafe, env, log } = options;
  const probe = await probeIsolation(env);
  if (!probe.ok && !unsafe) {
    throw terminal(
      FailureType.SandboxUnavailable,
      `Agents cannot be isolated here: ${probe.reason}.`,
      INSTALL_BUBBLEWRAP,
    );
  }
  if (!probe.ok) log.warn({ reason: probe.reason }, 'sandboxes run WITHOUT isolation, as sandbox.unsafe says');
  const home = homedir();
  const toolchains = findToolchains(env, [stateDir], home);
  const nodeOfOurs = /^\/usr\//.test(process.execPath) ? undefined : process.execPath;
  const nodeFolder = nodeOfOurs === undefined ? [] : [probe.ok ? NODE_INSIDE : dirname(nodeOfOurs)];
  const path = [...nodeFolder, ...toolchains.path].join(':');

  async function isolationBy(bwrap: string): Promise<Isolation> {
    const seccomp = await loadSeccomp(bwrap, stateDir);
    if (!seccomp.ok) log.warn({ reason: seccomp.reason }, 'sandboxes run without a filter of system calls');
    const etc = await makeEtc(stateDir);
    return {
      bwrap,
      system: systemArgs({ etc, binds: toolchains.binds, ...(nodeOfOurs === undefined ? {} : { node: nodeOfOurs }) }),
      ...(seccomp.ok ? { filter: { fd: SECCOMP_FD, file: seccomp.file } } : {}),
      shell: makeShell(stateDir),
    };
  }

  return {
    ...(probe.ok ? { isolation: await isolationBy(probe.bwrap) } : { unisolated: probe.reason }),
    fingerprint: createHash('sha256')
      .update(JSON.stringify([release(), arch(), process.version, path, toolchains.binds, probe.ok]))
      .digest('hex'),
    home,
    node: nodeOfOurs === undefined ? process.execPath : `${NODE_INSIDE}/node`,
    environment: (paths) => ({
      ...toolchains.env,
      PATH: path,
      HOME: paths.home,
      TMPDIR: paths.tmp,
      USER: 'agent',
      LOGNAME: 'agent',
      LANG: 'C.UTF-8',
      TERM: 'dumb',
    }),
  };
}
