/**
 * How long a command may run: as long as it was given, or until its agent's time is over where that is sooner.
 * `stopped` is what the agent is told of one that takes longer.
 */
export function commandTime(givenSeconds: number, timeLeftMs: number): { timeoutMs: number; stopped: string } {
  const givenMs = givenSeconds * 1_000;
  const timeoutMs = Math.max(1, Math.ceil(Math.min(givenMs, timeLeftMs)));
  const seconds = Math.round(timeoutMs / 100) / 10;
  const why = timeLeftMs < givenMs ? ': your time limit is reached' : '';
  return { timeoutMs, stopped: `The command was stopped after ${seconds} s, with all that it had started${why}.` };
}
