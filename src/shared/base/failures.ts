/**
 * Two families of failure. Everything is retryable by default; what another attempt cannot mend is thrown as
 * a terminal failure with a type that callers match on. Every message says what was tried, on what, and what
 * the person can do.
 */
import { ApplicationFailure } from '@temporalio/common';

/** Types of terminal failures; `err.type` of an ApplicationFailure is one of these. */
export const FailureType = {
  /** The input of a run is wrong: the person must change it. */
  BadInput: 'BadInput',
  /** The repository, a branch or the spec cannot be had as named. */
  RepositoryUnusable: 'RepositoryUnusable',
  /** No endpoint, wrong key, unknown model. */
  ModelUnusable: 'ModelUnusable',
  /** Every endpoint refuses this very request, at least one for what is in it: another request may be answered. */
  RequestRefused: 'RequestRefused',
  /** The conversation does not fit into the model's context: it wants compaction, not another endpoint. */
  ContextTooLong: 'ContextTooLong',
  /** A model's answer is larger than what a history can hold. */
  AnswerTooLarge: 'AnswerTooLarge',
  /** The run that an agent works for has ended or is another one by now. */
  Orphaned: 'Orphaned',
  /** The sandbox is gone: its folder, its host or its lease. The holder gets another and goes on. */
  SandboxGone: 'SandboxGone',
  /** No isolation is possible here and the user has not said that none is needed. */
  SandboxUnavailable: 'SandboxUnavailable',
  /** `setup` failed in a sandbox of its own: the repository's command is wrong, not the machine. */
  SetupFailed: 'SetupFailed',
  /** The remote says no to a push for a reason that trying again does not mend. */
  PushRefused: 'PushRefused',
  /** The host of the repository does not take the pull request, for a reason that trying again does not mend. */
  DeliveryRefused: 'DeliveryRefused',
  /** An activity was completed with what is no result of it: by hand, or by a worker of another version. */
  MalformedResult: 'MalformedResult',
  /** A state machine, message or payload is not what the code allows: a bug of ours. */
  Invariant: 'Invariant',
} as const;
export type FailureType = (typeof FailureType)[keyof typeof FailureType];

/** A failure that no retry mends. `remedy` is what the person can do, as a sentence. */
export function terminal(type: FailureType, message: string, remedy?: string, cause?: unknown): ApplicationFailure {
  return ApplicationFailure.create({
    type,
    nonRetryable: true,
    message: remedy === undefined ? message : `${message}\n${remedy}`,
    ...(cause instanceof Error ? { cause } : {}),
  });
}

/** The type of the ApplicationFailure at the root of a chain of causes, if there is one. */
export function failureTypeOf(error: unknown): string | undefined {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    if (at instanceof ApplicationFailure && at.type != null && at.type !== 'Error') return at.type;
  }
  return undefined;
}

/**
 * What a person should read of an error: the first ApplicationFailure in its chain of causes, which is what our code
 * has said, remedy included; Temporal wraps it in "Activity task failed", and its own causes are for the log. Where
 * there is none, the message nearest to the root.
 */
export function rootMessage(error: unknown): string {
  let message = String(error);
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 10; at = at.cause, depth++) {
    if (at.message !== '') message = at.message;
    if (at instanceof ApplicationFailure && at.message !== '') break;
  }
  return message;
}
