/**
 * @param {number} pid of this host
 * @returns whether a process has this number, also one of another user; numbers are used again
 */
export function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
