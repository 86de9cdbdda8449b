/** How far sandboxes are isolated and limited on this machine. */
import { existsSync, readFileSync } from 'node:fs';
import { runProcess } from '../activities/process/run-process.ts';
import { INSTALL_BUBBLEWRAP, probeIsolation } from '../activities/sandbox/local/isolation.ts';
import { createLimiter } from '../activities/sandbox/local/limits/limiter.ts';
import { loadSeccomp } from '../activities/sandbox/local/seccomp/load.ts';
import type { Config } from '../shared/config/worker-config.ts';
import type { Finding } from './finding.ts';
import { examineModal } from './modal.ts';

type Request = { config: Config; env: NodeJS.ProcessEnv /** A folder for a moment. */; scratch: string };

export async function examineSandboxes({ config, env, scratch }: Request): Promise<Finding[]> {
  if (config.sandbox.provider === 'modal') return await examineModal(config, env);
  const { unsafe } = config.sandbox;
  const probe = await probeIsolation(env);
  if (!probe.ok) {
    const found = `${probe.reason}${unsafe ? '; agents run WITHOUT isolation, as sandbox.unsafe says' : ''}`;
    return [
      { name: 'isolation', state: 'missing', found, remedy: namespaceRemedy() ?? INSTALL_BUBBLEWRAP, blocks: !unsafe },
      ...limits(config),
    ];
  }
  const version = await runProcess([probe.bwrap, '--version'], { env: {}, timeoutMs: 10_000 });
  const seccomp = await loadSeccomp(probe.bwrap, scratch);
  const root = process.getuid?.() === 0;
  return [
    { name: 'isolation', state: 'full', found: `${version.stdout.toString().trim()} (${probe.bwrap})` },
    {
      name: 'namespaces',
      state: 'full',
      found: 'user, process, IPC, host name and network of its own; no further ones inside',
    },
    root
      ? {
          name: 'user',
          state: 'partly',
          found: 'root: to the kernel, agents are root without capabilities',
          remedy: 'Run the worker as an ordinary user.',
        }
      : { name: 'user', state: 'full', found: `an ordinary user (${process.getuid?.()})` },
    seccomp.ok
      ? { name: 'system calls', state: 'full', found: 'filtered by seccomp' }
      : {
          name: 'system calls',
          state: 'partly',
          found: `not filtered: ${seccomp.reason}`,
          remedy: 'A kernel with CONFIG_SECCOMP_FILTER, on x64 or arm64.',
        },
    ...limits(config),
    ...network(config),
  ];
}

function limits({ sandbox: { limits: of } }: Config): Finding[] {
  const limiter = createLimiter(of);
  const groups = limiter.kind !== 'rlimit';
  const groupsRemedy =
    'Let the worker make control groups: run it in a systemd service with Delegate=yes, or as root where /sys/fs/cgroup is writable.';
  const by = { cgroup: `control groups (${limiter.kind === 'cgroup-v1' ? 'v1' : 'v2'})`, rlimit: 'a resource limit' };
  const processesBy = limiter.processesBy;
  return [
    {
      name: 'limit: memory',
      state: groups ? 'full' : 'partly',
      found: groups
        ? `${of.memoryMb} MB for all processes of a sandbox, by ${by.cgroup}`
        : `${of.memoryMb} MB for each process by ${by.rlimit}, for all of them by looking`,
      ...(groups ? {} : { remedy: groupsRemedy }),
    },
    {
      name: 'limit: processes',
      state: processesBy === 'looking' ? 'partly' : 'full',
      found: `${of.processes}, by ${processesBy === 'cgroup' ? by.cgroup : processesBy === 'rlimit' ? by.rlimit : processesBy === 'looking' ? 'looking: a fork bomb can be faster' : 'a limit of the process namespace (at least 301)'}`,
      ...(processesBy === 'looking' ? { remedy: `${groupsRemedy} Or run the worker as an ordinary user.` } : {}),
    },
    { name: 'limit: open files', state: 'full', found: `${of.openFiles} of one process, by ${by.rlimit}` },
    { name: 'limit: file size', state: 'full', found: `${of.fileSizeMb} MB, by ${by.rlimit}` },
    { name: 'limit: CPU time', state: 'full', found: `${of.cpuSeconds} s of one process, by ${by.rlimit}` },
    {
      name: 'limit: time',
      state: 'full',
      found: 'of one command as the agent asks, at most 1800 s; all it started ends with it',
    },
    { name: 'limit: output', state: 'full', found: `${of.outputMb} MB of one command` },
    {
      name: 'limit: disk',
      state: 'partly',
      found: `${of.diskMb} MB and ${of.files} files of a sandbox, by looking 4 times a second: not a quota`,
      remedy:
        'What a command writes between two looks is not prevented; sandbox.limits.minFreeDiskMb keeps the host’s disk from filling up.',
    },
  ];
}

function network({ sandbox }: Config): Finding[] {
  const setting = sandbox.network;
  const found =
    setting === 'none'
      ? 'none: agents reach nothing, not even the host’s loopback'
      : setting === 'full'
        ? 'full: agents share the host’s network, its loopback included'
        : `allowlist: ${setting.allow.join(', ')}, through a proxy`;
  const remedy = 'Set sandbox.network to "none", or to {"allow": […]}.';
  return [
    {
      name: 'network of agents',
      state: setting === 'full' ? 'partly' : 'full',
      found,
      ...(setting === 'full' ? { remedy } : {}),
    },
  ];
}

/** What keeps unprivileged users from making namespaces, by the switches that distributions have for it. */
function namespaceRemedy(): string | undefined {
  const read = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined);
  if (read('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1')
    return 'AppArmor restricts user namespaces: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give bwrap a profile with userns.';
  if (read('/proc/sys/kernel/unprivileged_userns_clone') === '0')
    return 'Allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1';
  if (read('/proc/sys/user/max_user_namespaces') === '0')
    return 'Allow user namespaces: sysctl -w user.max_user_namespaces=10000';
  return undefined;
}
