/**
 * The tools that agents are offered: names, descriptions, argument schemas, and which role has which. Pure.
 * Arguments are always parsed by these schemas; a mistake goes back to the model as the tool's error.
 */
import { z } from 'zod';
import { AgentHandoff, type Role } from '../contracts/agent.ts';
import { Plan } from '../contracts/plan.ts';
import { Fixes } from '../contracts/sweep.ts';

const path = z
  .string()
  .min(1)
  .max(4_096)
  .refine((p) => !p.includes('\0'), 'a path has no NUL');
const positive = z.number().int().positive();

/** Tools that run in a sandbox; `read`, `grep`, `find`, `ls` also over the mirror, for planners. */
export const TOOLS = {
  read: {
    description:
      'Read a text file. Lines are numbered from 1; offset is the first line, limit the number of lines (2000 unless given).',
    schema: z.object({ path, offset: positive.optional(), limit: positive.max(10_000).optional() }),
  },
  write: {
    description: 'Write a file, whole. Folders are made; an existing file is replaced.',
    schema: z.object({ path, content: z.string() }),
  },
  edit: {
    description: 'Replace oldText, which must occur exactly once in the file, by newText.',
    schema: z.object({ path, oldText: z.string().min(1), newText: z.string() }),
  },
  bash: {
    description:
      'Run a command in bash at the root of the work tree. Output is cut to head and tail; the whole is in the file that is named then. No network, or allowed hosts only: a refused one is named in the result. timeoutSeconds is 120 unless given, at most 1800; your own time limit ends it too.',
    schema: z.object({
      command: z.string().min(1).max(100_000),
      timeoutSeconds: z.number().positive().max(1_800).optional(),
    }),
  },
  grep: {
    description: 'Search file contents for a POSIX extended regular expression: file:line:text.',
    schema: z.object({
      pattern: z.string().min(1).max(2_000),
      path: path.optional(),
      glob: z.string().max(500).optional(),
    }),
  },
  find: {
    description: 'List files whose path matches a glob (* and ?), below path.',
    schema: z.object({ pattern: z.string().min(1).max(500), path: path.optional() }),
  },
  ls: {
    description: 'List a folder; folders end in /.',
    schema: z.object({ path: path.optional() }),
  },
  log: {
    description: 'The newest commits of the target branch: hash, date, subject.',
    schema: z.object({ limit: positive.max(200).optional(), path: path.optional() }),
  },
  submit_handoff: {
    description:
      'End the task. status: complete (every criterion met), partial, blocked (cannot go on, say why), failed. The work tree is committed for you.',
    schema: AgentHandoff,
  },
  submit_plan: {
    description:
      'End this round of planning: the scratchpad, rewritten whole; the new tasks (none is allowed); done when nothing is left to plan.',
    schema: Plan,
  },
  submit_fixes: {
    description:
      'End the search: the tasks that mend the branch, at most 5; none when changing the repository cannot mend it.',
    schema: Fixes,
  },
} as const;

export type ToolName = keyof typeof TOOLS;
export type ToolArguments<N extends ToolName> = z.infer<(typeof TOOLS)[N]['schema']>;
export const isToolName = (name: string): name is ToolName => Object.hasOwn(TOOLS, name);

const SANDBOX_TOOLS = ['read', 'write', 'edit', 'bash', 'grep', 'find', 'ls'] as const;

/** What each role is offered, and the call that ends its loop. */
export const ROLE_TOOLS: Readonly<Record<Role, { tools: readonly ToolName[]; closing: ToolName }>> = {
  planner: { tools: ['read', 'grep', 'find', 'ls', 'log', 'submit_plan'], closing: 'submit_plan' },
  subplanner: { tools: ['read', 'grep', 'find', 'ls', 'log', 'submit_plan'], closing: 'submit_plan' },
  worker: { tools: [...SANDBOX_TOOLS, 'submit_handoff'], closing: 'submit_handoff' },
  conflict: { tools: [...SANDBOX_TOOLS, 'submit_handoff'], closing: 'submit_handoff' },
  reconciler: { tools: ['read', 'grep', 'find', 'ls', 'log', 'submit_fixes'], closing: 'submit_fixes' },
};

export type ParsedArguments<N extends ToolName> = { ok: true; value: ToolArguments<N> } | { ok: false; error: string };

/** The arguments that a model wrote for a tool, or the message that it gets back. */
export function parseArguments<N extends ToolName>(name: N, text: string): ParsedArguments<N> {
  let json: unknown;
  try {
    json = text.trim() === '' ? {} : JSON.parse(text);
  } catch (error) {
    return { ok: false, error: `The arguments of ${name} are not JSON: ${(error as Error).message}. Call it again.` };
  }
  const parsed = TOOLS[name].schema.safeParse(json);
  if (parsed.success) return { ok: true, value: parsed.data as ToolArguments<N> };
  const issues = parsed.error.issues.map(
    (issue) => `- ${issue.path.map(String).join('.') || '(arguments)'}: ${issue.message}`,
  );
  return { ok: false, error: `The arguments of ${name} do not fit its schema:\n${issues.join('\n')}\nCall it again.` };
}
