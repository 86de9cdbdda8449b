/** What `agentswarm doctor` finds out about a machine. Pure. */

export type Finding = {
  /** What was looked at: a program, a limit, a connection. */
  name: string;
  /** `full`: as it should be. `partly`: weaker than it can be. `missing`: not there. */
  state: 'full' | 'partly' | 'missing';
  /** What was found: versions, paths, who enforces it. One line. */
  found: string;
  /** What to do for more. */
  remedy?: string;
  /** A run would be refused, or could not work. */
  blocks?: boolean;
};
