/** What an agent is told about limits. Each names the key that a person would change. */
import type { SandboxLimits } from '../../../../shared/config/worker-config.ts';
import type { ExecResult } from '../../../process/run-process.ts';

const key = (name: keyof SandboxLimits): string => `(sandbox.limits.${name})`;
const mb = (value: number): string => `${Math.ceil(value)} MB`;

export const limitText = {
  memory: ({ memoryMb }: SandboxLimits) =>
    `stopped: more than ${memoryMb} MB of memory ${key('memoryMb')}, all processes together. Use fewer workers, or less data at once.`,
  /** Some process in it was ended; the command may have gone on. */
  memoryPart: ({ memoryMb }: SandboxLimits) =>
    `a process was ended by the kernel: more than ${memoryMb} MB of memory ${key('memoryMb')}, all processes together.`,
  processes: ({ processes }: SandboxLimits) =>
    `stopped: more than ${processes} processes and threads ${key('processes')}.`,
  forks: ({ processes }: SandboxLimits) =>
    `a process could not be started: there were ${processes} processes and threads ${key('processes')}.`,
  disk: ({ diskMb }: SandboxLimits, usedMb: number) =>
    `stopped: this sandbox holds ${mb(usedMb)} on disk, of at most ${diskMb} MB ${key('diskMb')}: work tree, /tmp, home and stored versions together. Delete what is not needed.`,
  diskOver: ({ diskMb }: SandboxLimits, usedMb: number) =>
    `this sandbox holds ${mb(usedMb)} on disk, of at most ${diskMb} MB ${key('diskMb')}: work tree, /tmp, home and stored versions together. Delete what is not needed; commands that write more are stopped.`,
  files: ({ files }: SandboxLimits, used: number) =>
    `stopped: this sandbox holds ${used} files and folders, of at most ${files} ${key('files')}: work tree, /tmp and home together. Delete what is not needed.`,
  filesOver: ({ files }: SandboxLimits, used: number) =>
    `this sandbox holds ${used} files and folders, of at most ${files} ${key('files')}: work tree, /tmp and home together. Delete what is not needed; commands that make more are stopped.`,
  hostDisk: ({ minFreeDiskMb }: SandboxLimits, freeMb: number) =>
    `stopped: the host's disk is nearly full (${mb(freeMb)} free, ${minFreeDiskMb} MB must stay free ${key('minFreeDiskMb')}).`,
  hostFiles: (free: number) => `stopped: the host's disk has room for ${free} more files only.`,
  output: ({ outputMb }: SandboxLimits) =>
    `stopped: it wrote more than ${outputMb} MB of output ${key('outputMb')}. Send it to a file, or make it say less.`,
};

/** What a process was refused or ended for by a resource limit, as far as its end and its words tell. */
export function resourceLimitHit(
  limits: SandboxLimits,
  { exitCode, stdout, tail, stderr, reason }: ExecResult,
  memoryByProcess: boolean,
): string | undefined {
  if (reason !== 'exit' || exitCode === 0) return undefined;
  const output = `${stdout.toString('latin1', Math.max(0, stdout.length - 4_000))}\n${tail.toString('latin1', Math.max(0, tail.length - 4_000))}\n${stderr}`;
  const { fileSizeMb, cpuSeconds, openFiles, memoryMb } = limits;
  if (exitCode === 152 || /CPU time limit exceeded/.test(output))
    return `stopped: a process took more than ${cpuSeconds} s of CPU ${key('cpuSeconds')}.`;
  if (exitCode === 153 || /File size limit exceeded|File too large|EFBIG/.test(output))
    return `a file may have at most ${fileSizeMb} MB ${key('fileSizeMb')}.`;
  if (/Too many open files|EMFILE/.test(output))
    return `a process may have at most ${openFiles} files open ${key('openFiles')}.`;
  if (memoryByProcess && /Cannot allocate memory|MemoryError|[Oo]ut of memory|bad_alloc|ENOMEM/.test(output))
    return `a process may have at most ${memoryMb} MB of memory ${key('memoryMb')}.`;
  if (exitCode === 159 || /Bad system call/.test(output))
    return 'ended by the sandbox: a program of another machine type (32 bits), or one that asked for what no sandbox allows.';
  return undefined;
}
