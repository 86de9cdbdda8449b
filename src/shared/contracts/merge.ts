/** The merge queue's messages: one queue for each repository and branch, for all runs. */
import { z } from 'zod';
import { Chain, CommitSha } from '../base/ids.ts';
import { Conflict } from './conflict.ts';
import { Freeze, GateFindings, GateTerms } from './gate.ts';
import { GuardPolicy, LostLines } from './guard.ts';
import { MergeStrategy } from './merge-strategy.ts';
import { RepositoryRef } from './run.ts';

export const Author = z.object({ name: z.string().min(1), email: z.string().min(1) });
export type Author = z.infer<typeof Author>;

/** Signal `enqueue`: land this commit. `id` is `<change's first run id>/<try>`: the same id is one request. */
export const MergeRequest = z.object({
  id: z.string().min(1),
  /** The task whose change it is, who gets the answer. Its firstRunId is the `Swarm-Change`. */
  requester: Chain,
  /** The run's root: entries of a run that was terminated are dropped. */
  root: Chain,
  commit: CommitSha,
  ref: z.string().min(1),
  base: CommitSha,
  priority: z.number().int().min(1).max(10),
  /** First line and body of the landing commit. */
  subject: z.string().min(1),
  body: z.string(),
  author: Author,
  /** Default: `rebase`. */
  strategy: MergeStrategy.optional(),
  /** Where the task's work began, if that is not `base`: the commit resolves a conflict with what has landed since. */
  since: CommitSha.optional(),
  /** Default: `report`. */
  guard: GuardPolicy.optional(),
  /** How it is checked before it lands; absent: not at all. */
  gate: GateTerms.optional(),
  /** It mends the branch: it may land while that is red. */
  fix: z.boolean().optional(),
  /** A person has released it, for this reason (may be empty): what it takes away is told and does not hold it. */
  released: z.string().optional(),
});
export type MergeRequest = z.infer<typeof MergeRequest>;

/**
 * Why a remote refuses a push. `protected`: the branch takes none. `rights`: the worker may not push. `quota`: too much
 * for the host. `content`: something in the change, which a later attempt can leave out. `hook`: a hook that does not
 * say why in known words. The network, a wrong login and a moved tip are no refusals: they are tried again.
 */
export const PushRefusal = z.enum(['protected', 'rights', 'quota', 'content', 'hook', 'other']);
export type PushRefusal = z.infer<typeof PushRefusal>;

/** Refusals that may be of one change of several: the rest may be taken without it. */
const OF_ONE_CHANGE: readonly PushRefusal[] = ['content', 'hook', 'quota'];

export const mayBeOfOneChange = (because: PushRefusal): boolean => OF_ONE_CHANGE.includes(because);

/** How many further files are not named, as there are too many. */
const more = z.number().int().positive().optional();

/** What became of one request. A conflict is a *content* conflict that git reported, with its files. */
export const MergeOutcome = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('landed'),
    commit: CommitSha,
    /** It conflicted with the tip, and not with the landings on the way there one by one. */
    rebased: z.literal(true).optional(),
    /** What it took away of others' work. */
    lost: z.array(LostLines).min(1).optional(),
    more,
  }),
  /** It would take away what others have landed, and is not to: see `guard`. */
  z.object({ kind: z.literal('held'), lost: z.array(LostLines).min(1), more }),
  z.object({
    kind: z.literal('conflicted'),
    files: z.array(z.string()).min(1),
    /** The first of them, with what happened to each. */
    conflicts: z.array(Conflict).optional(),
    more,
    tip: CommitSha,
  }),
  /** Nothing of it is left to land: the branch already has the same content. */
  z.object({ kind: z.literal('empty') }),
  z.object({ kind: z.literal('refused'), reason: z.string(), because: PushRefusal.optional() }),
  z.object({ kind: z.literal('dropped'), reason: z.string() }),
  /** The checks fail with it, and without it they pass. `reason` says which, with their output. */
  z.object({ kind: z.literal('ejected'), reason: z.string() }),
]);
export type MergeOutcome = z.infer<typeof MergeOutcome>;

/** Signal `outcome`, from the queue to a requester. */
export const MergeAnswer = z.object({ id: z.string(), outcome: MergeOutcome });
export type MergeAnswer = z.infer<typeof MergeAnswer>;

export const LandRequest = z.object({
  repo: RepositoryRef,
  target: z.string().min(1),
  /** In the order in which they are merged onto the tip. */
  entries: z.array(MergeRequest).min(1),
});
export type LandRequest = z.infer<typeof LandRequest>;

export const LandResult = z.object({
  /** The target's tip as read back after the push. */
  tip: CommitSha,
  /** One for each entry, in the same order. */
  outcomes: z.array(MergeAnswer),
  /** How often somebody else's push overtook ours. */
  overtaken: z.number().int().nonnegative(),
});
export type LandResult = z.infer<typeof LandResult>;

export const AnswerRequest = z.object({
  answers: z.array(z.object({ requester: Chain, answer: MergeAnswer })),
});
export type AnswerRequest = z.infer<typeof AnswerRequest>;

/** Input of the `mergeQueue` workflow; `state` only after continue-as-new. */
export const MergeQueueInput = z.object({
  repo: RepositoryRef,
  target: z.string().min(1),
  state: z
    .object({
      waiting: z.array(MergeRequest),
      /** Answers already given, newest last: a requester that asks again is answered from here. */
      answered: z.array(z.object({ id: z.string(), outcome: MergeOutcome })),
      landed: z.number().int(),
      freezes: z.array(Freeze).optional(),
      gate: GateFindings.optional(),
    })
    .optional(),
});
export type MergeQueueInput = z.infer<typeof MergeQueueInput>;

/** Query `snapshot` of a merge queue. */
export type MergeQueueSnapshot = {
  target: string;
  waiting: { id: string; subject: string; priority: number }[];
  landing: string[];
  landed: number;
  /** Why nothing lands, or only fixes do; empty when it is not frozen. */
  frozen: Freeze[];
  /** Whether the remote has the freeze of a person: it holds then also when this queue is not open any more. */
  freezeKept?: boolean;
  /** Why work waits that could land otherwise: a check that could not be run, a branch that fails by itself. */
  waitingFor?: string;
  /** What the queue has done by itself since it was last told how the branch is, and people may want to know. */
  did?: string;
  /** What the gate checks now: ids of requests, in the order in which they are merged. */
  checking: string[][];
};
