import type { HeldWork } from '../contracts/held.ts';

/** What a task says of its work, to planners' models and to people. */
export const TASK_TEXT = {
  weakened: (evidence: readonly string[]): string => `The work makes tests or checks weaker: ${evidence.join('; ')}`,
  heldForTests: (evidence: readonly string[]): string =>
    `Held, not landed, as it makes tests or checks weaker: ${evidence.join('; ')}. If that is wanted, plan it anew with "weakensTests": true and say why; else plan it so that they stay as they are.`,
  resolvedWeaker: (evidence: readonly string[]): string =>
    `what resolved its conflicts makes tests or checks weaker: ${evidence.join('; ')}`,
  resolutionHeld: (evidence: readonly string[]): string =>
    `held, as ${TASK_TEXT.resolvedWeaker(evidence)}. People may release it as it is; else plan it anew, with "weakensTests": true and why if that is wanted`,
  releasedByPeople: (by: HeldWork['by'], reason: string): string =>
    `A person released this work, which was held as it ${by === 'tamper' ? 'makes tests or checks weaker' : 'removes what others have landed'}${reason === '' ? '' : `: ${reason.slice(0, 500)}`}`,
} as const;
