/** Query `snapshot` of a planner: everything that a person watching needs, as plain JSON. */
import type { Budget, Spent } from './budget.ts';
import type { WaitingForModel } from './model-wait.ts';
import type { Notice } from './people.ts';
import type { TaskReport } from './run.ts';
import type { SeenStuck } from './stuck.ts';
import type { Scratchpad } from './plan.ts';

export const PHASES = ['preparing', 'planning', 'running', 'finalizing', 'done'] as const;
export type Phase = (typeof PHASES)[number];

export type RunSnapshot = {
  run: string;
  phase: Phase;
  /** Absent when the run is not paused. */
  paused?: { since: number; reason: string };
  repo: string;
  target: string;
  /** What the run waits for, in words. */
  waitingFor: string;
  tasks: TaskReport[];
  counts: Record<TaskReport['status'], number>;
  landed: number;
  queued: number;
  replans: number;
  inputTokens: number;
  outputTokens: number;
  costUsd: number;
  startedAt: number;
  scratchpad: Scratchpad;
  notes: string[];
  unsafe: boolean;
  budget?: { total: Budget; spent: Spent };
  /** What waits for a person, the oldest first; absent where nothing does. */
  approvals?: Notice['approvals'];
  /** Workflows of the run that cannot go on, and its merge queue where that cannot; absent where none is known. */
  stuck?: (Omit<SeenStuck, 'endsAt'> & { endsAt?: number })[];
  /** Calls of its agents that have had no model to ask for 30 s or more, as its workers say. */
  waitingForModel?: WaitingForModel;
};
