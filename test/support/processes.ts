/** Which processes of this machine belong to a folder: by command line, environment or working directory. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** `pid command` of each, this process left out. Linux only. */
export function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const signs = [command, readlinkSync(`/proc/${pid}/cwd`), readFileSync(`/proc/${pid}/environ`, 'utf8')];
        return signs.some((sign) => sign.includes(folder)) ? [`${pid} ${command.slice(0, 200)}`] : [];
      } catch {
        // It ended while we looked, or is a zombie: nothing runs.
        return [];
      }
    });
}
