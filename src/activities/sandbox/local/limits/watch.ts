/**
 * Limits that no unprivileged kernel interface keeps for us: the disk of a sandbox and, without control groups,
 * the sum of its processes and their memory. They are looked at while a command runs and when it has ended; a
 * command that is over is stopped, so for up to LOOK_MS it can be over by what it writes in that time.
 */
import { readFile } from 'node:fs/promises';
import type { SandboxLimits } from '../../../../shared/config/worker-config.ts';
import type { RunProcess } from '../../../process/run-process.ts';
import { type FreeSpace, freeSpace, measure } from './disk.ts';
import { countProcesses } from './processes.ts';
import { limitText } from './text.ts';

const LOOK_MS = 250;
/** Processes multiply faster than files grow. */
const LOOK_AT_PROCESSES_MS = 100;
/** Every so many looks, also at what processes hold open: that takes a call for each file. */
const LOOKS_PER_FILES = 4;
/** Others may have freed what this one took, so that the file system's own numbers tell nothing. */
const MEASURE_AGAIN_MS = 60_000;
/** A measurement may take this share of a processor. */
const SHARE = 0.1;
/** What a command may add in a sandbox that is over already, so that deleting works. */
const ROOM_MB = 16;
const ROOM_FILES = 1_000;
const MIN_FREE_FILES = 2_000;

type Known = { mb: number; files: number; free: FreeSpace; at: number; tookMs: number };

export type Usage = Pick<Known, 'mb' | 'files' | 'free'>;

export interface DiskUsage {
  /** A sandbox that was just made: it holds nothing. */
  begin(id: string, folder: string): Promise<void>;
  /**
   * What the sandbox holds. Measured anew only when it may be over a limit by what the file system has lost since,
   * or when the last measurement is old; and, unless `exactly`, only as often as a share of a processor allows.
   */
  look(id: string, folder: string, options?: { exactly: boolean }): Promise<Usage>;
  forget(id: string): void;
}

export function createDiskUsage(options: { limits: SandboxLimits; run: RunProcess; bwrap?: string }): DiskUsage {
  const { limits, run, bwrap } = options;
  const known = new Map<string, Known>();
  return {
    async begin(id, folder) {
      known.set(id, { mb: 0, files: 0, free: freeSpace(folder), at: Date.now(), tookMs: 0 });
    },
    async look(id, folder, { exactly } = { exactly: false }) {
      const free = freeSpace(folder);
      const last = known.get(id);
      const age = Date.now() - (last?.at ?? 0);
      if (last !== undefined) {
        const mb = last.mb + Math.max(0, last.free.mb - free.mb);
        const files = last.files + Math.max(0, last.free.files - free.files);
        const mayBeOver = mb > limits.diskMb || files > limits.files;
        const due = mayBeOver ? exactly || age * SHARE >= last.tookMs : age > MEASURE_AGAIN_MS;
        if (!due) return { mb: last.mb, files: last.files, free };
      }
      const began = Date.now();
      const mb = await measure(run, folder, 'mb', bwrap);
      const files = await measure(run, folder, 'files', bwrap);
      const now = { mb: mb ?? last?.mb ?? 0, files: files ?? last?.files ?? 0, free, at: Date.now() };
      known.set(id, { ...now, tookMs: Date.now() - began });
      return now;
    },
    forget: (id) => void known.delete(id),
  };
}

/** What a sandbox holds too much of, told after a command that was not stopped for it. */
export function overLimits(limits: SandboxLimits, { mb, files }: Usage): string[] {
  return [
    ...(mb > limits.diskMb ? [limitText.diskOver(limits, mb)] : []),
    ...(files > limits.files ? [limitText.filesOver(limits, files)] : []),
  ];
}

/**
 * Looks until `end`. @param options.pidFile where its first process's id will be written, where its processes are
 * to be counted. `stop` is called at most once, with what is said to the agent; `onError` too, and looking goes on.
 */
export function startWatch(options: {
  limits: SandboxLimits;
  look: () => Promise<Usage>;
  pidFile?: () => string;
  stop: (why: string) => void;
  onError: (error: unknown) => void;
}): { end(): void } {
  const { limits, look, pidFile, stop, onError } = options;
  const everyMs = pidFile === undefined ? LOOK_MS : LOOK_AT_PROCESSES_MS;
  let first: Usage | undefined;
  let ended = false;
  let looks = 0;
  let errors = 0;
  let timer = setTimeout(tick, everyMs);
  timer.unref();

  function tick(): void {
    judge()
      .then((why) => {
        if (ended) return;
        if (why === undefined) timer = setTimeout(tick, everyMs).unref();
        else {
          ended = true;
          stop(why);
        }
      })
      .catch((error: unknown) => {
        if (ended) return;
        if (errors++ === 0) onError(error);
        timer = setTimeout(tick, everyMs).unref();
      });
  }

  async function judge(): Promise<string | undefined> {
    if (pidFile !== undefined) {
      const pid = Number(await readFile(pidFile(), 'utf8').catch(() => ''));
      const { threads, memoryMb } =
        pid > 0 ? await countProcesses(pid, { files: ++looks % LOOKS_PER_FILES === 0 }) : { threads: 0, memoryMb: 0 };
      if (threads > limits.processes) return limitText.processes(limits);
      if (memoryMb > limits.memoryMb) return limitText.memory(limits);
    }
    const now = await look();
    first ??= now;
    const { mb, files, free } = now;
    if (free.mb < limits.minFreeDiskMb && free.mb < first.free.mb - ROOM_MB) return limitText.hostDisk(limits, free.mb);
    if (free.files < MIN_FREE_FILES && free.files < first.free.files - ROOM_FILES)
      return limitText.hostFiles(free.files);
    if (mb > Math.max(limits.diskMb, first.mb + ROOM_MB)) return limitText.disk(limits, mb);
    if (files > Math.max(limits.files, first.files + ROOM_FILES)) return limitText.files(limits, files);
    return undefined;
  }

  return {
    end() {
      ended = true;
      clearTimeout(timer);
    },
  };
}
