/** What people read in a log or a chat of what waits for them. */
import type { Notice } from '../../shared/contracts/people.ts';

export const noticeText = {
  waits: (run: string, name: string): string =>
    `"${name}" waits for a person: agentswarm approve ${run} ${name}, or agentswarm reject ${run} ${name} --reason …`,
  all: ({ run, repo, target, approvals }: Notice): string =>
    [
      `Run ${run} (${repo}, branch ${target}) waits for approval:`,
      ...approvals.map(({ name, kind, text }) => `- ${kind} ${name}: ${text}`),
      `agentswarm approve ${run} <name>, or agentswarm reject ${run} <name> --reason "…"`,
    ].join('\n'),
} as const;
