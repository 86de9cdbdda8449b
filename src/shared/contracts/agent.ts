/** The agent loop's messages, provider-neutral, and the requests of its two activities. */
import { z } from 'zod';
import { fnv1a } from '../base/digest.ts';
import { Chain, CommitSha } from '../base/ids.ts';

export const ROLES = ['planner', 'subplanner', 'worker', 'conflict', 'reconciler'] as const;
export const Role = z.enum(ROLES);
export type Role = z.infer<typeof Role>;

export const ToolCall = z.object({
  id: z.string(),
  name: z.string(),
  /** As the model wrote it; parsed by the tool's schema before use. */
  arguments: z.string(),
});
export type ToolCall = z.infer<typeof ToolCall>;

export const ToolResult = z.object({
  callId: z.string(),
  name: z.string(),
  status: z.enum(['ok', 'error', 'interrupted']),
  output: z.string(),
});
export type ToolResult = z.infer<typeof ToolResult>;

export const Message = z.discriminatedUnion('role', [
  z.object({ role: z.literal('system'), text: z.string() }),
  z.object({ role: z.literal('user'), text: z.string() }),
  z.object({ role: z.literal('assistant'), text: z.string(), toolCalls: z.array(ToolCall) }),
  z.object({ role: z.literal('tool'), results: z.array(ToolResult) }),
]);
export type Message = z.infer<typeof Message>;

/** Tokens of one call as the provider counts them; `cachedInput` is part of `input`. */
export const Usage = z.object({
  inputTokens: z.number().int().nonnegative(),
  cachedInputTokens: z.number().int().nonnegative(),
  outputTokens: z.number().int().nonnegative(),
  /** Part of `outputTokens`, where the provider says it. */
  reasoningTokens: z.number().int().nonnegative().optional(),
});
export type Usage = z.infer<typeof Usage>;

/** Query `transcript`: messages `from` (inclusive) to `to` (exclusive) of the conversation. */
export const TranscriptRange = z.object({ from: z.number().int().min(0), to: z.number().int().min(0) });
export type TranscriptRange = z.infer<typeof TranscriptRange>;

export const ThinkRequest = z.object({
  role: Role,
  /** Counted over the whole life of the agent, continue-as-new included; part of the Idempotency-Key. */
  turn: z.number().int().min(1),
  /** How many messages of the transcript this call sees; none where it follows on a brief in the same activity. */
  messageCount: z.number().int().min(0),
  /** tailDigest() of these: a process that made the last two messages itself need not ask for them. */
  tail: z.string().optional(),
  /** A new conversation number after a compaction, so that a cached transcript is not mixed up. */
  conversation: z.number().int().min(0),
  tools: z.array(z.string()),
  /** The agent's own chain: with `turn` it makes the Idempotency-Key. */
  agent: Chain,
  /** From the root planner down: the call is not made when one of them no longer runs. */
  ancestors: z.array(Chain),
  /** Upper bound of the answer, in tokens. */
  maxOutputTokens: z.number().int().positive(),
});
export type ThinkRequest = z.infer<typeof ThinkRequest>;

export const ThinkResult = z.object({
  message: z.object({ role: z.literal('assistant'), text: z.string(), toolCalls: z.array(ToolCall) }),
  usage: Usage,
  costUsd: z.number().nonnegative(),
  endpoint: z.string(),
  model: z.string(),
  /** Why the model stopped, as far as the provider says. */
  stop: z.enum(['end', 'tool-calls', 'length', 'refusal']),
  /** How many requests were sent for this answer, failed ones included. */
  attempts: z.number().int().min(1),
  durationMs: z.number().nonnegative(),
  /** From the answered request to the first piece of its answer. */
  firstTokenMs: z.number().nonnegative().optional(),
  /** From the call to the answered request: waits for an endpoint, failed requests. */
  waitedMs: z.number().nonnegative().optional(),
});
export type ThinkResult = z.infer<typeof ThinkResult>;

/** A leased sandbox. `epoch` counts the leases of one task: a stale holder is told apart by it. */
export const SandboxRef = z.object({
  id: z.string().regex(/^[a-z0-9-]{1,64}$/),
  epoch: z.number().int().min(1),
  /** The task queue of the host that has it: `agentswarm-host-<host id>`. */
  queue: z.string().min(1),
});
export type SandboxRef = z.infer<typeof SandboxRef>;

/** A sandbox's work tree, stored as a commit in the host's mirror (and at most once a minute on the remote). */
export const Checkpoint = z.object({ commit: CommitSha, turn: z.number().int().min(0) });
export type Checkpoint = z.infer<typeof Checkpoint>;

export const ActRequest = z.object({
  sandbox: SandboxRef,
  turn: z.number().int().min(1),
  calls: z.array(ToolCall),
  repo: z.object({ location: z.string(), key: z.string() }),
  /** What the work tree must be before the first call; applied once per sandbox and epoch. */
  restore: Checkpoint.optional(),
  /** The ref under which a checkpoint is kept on the remote. */
  ref: z.string(),
  /** Of the agent's time limit, when this request was made: its commands end with it. Absent: their own limits only. */
  minutesLeft: z.number().nonnegative().optional(),
});
export type ActRequest = z.infer<typeof ActRequest>;

export const ActResult = z.object({
  results: z.array(ToolResult),
  /** Absent when the calls changed no file. */
  checkpoint: Checkpoint.optional(),
});
export type ActResult = z.infer<typeof ActResult>;

/** The tools of one turn, then the next turn's call over what they gave: one round trip of a workflow, not two. */
export const ActAndThinkRequest = z.object({
  act: ActRequest,
  /** `messageCount` and `tail` are of the transcript before the tools' results. */
  think: ThinkRequest,
});
export type ActAndThinkRequest = z.infer<typeof ActAndThinkRequest>;

export const ActAndThinkResult = z.object({
  acted: ActResult,
  /** Absent when the tools ran and the call was not answered: the workflow then asks by `think`. */
  answer: ThinkResult.optional(),
});
export type ActAndThinkResult = z.infer<typeof ActAndThinkResult>;

/** What the closing tool `submit_handoff` says; files and metrics are measured by the host. */
export const AgentHandoff = z.object({
  status: z.enum(['complete', 'partial', 'blocked', 'failed']),
  summary: z.string().min(1).max(8_000),
  concerns: z.array(z.string().max(4_000)).max(50).default([]),
  suggestions: z.array(z.string().max(4_000)).max(50).default([]),
});
export type AgentHandoff = z.infer<typeof AgentHandoff>;

export const Limits = z.object({
  turns: z.number().int().positive(),
  /** Input and output together, over all calls. */
  tokens: z.number().int().positive(),
  minutes: z.number().positive(),
  /** US dollars. Absent: none but the run's. */
  costUsd: z.number().positive().optional(),
});
export type Limits = z.infer<typeof Limits>;

/** Of the last two messages: an answer and what its tools gave, when a turn went as most do. */
export function tailDigest(messages: readonly Message[]): string {
  const text = JSON.stringify(messages.slice(-2));
  return `${fnv1a(text)}${text.length.toString(16)}`;
}
