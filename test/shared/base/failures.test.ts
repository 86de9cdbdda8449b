import { ActivityFailure, ApplicationFailure, RetryState } from '@temporalio/common';
import { expect, test } from 'vitest';
import { FailureType, failureTypeOf, rootMessage, terminal } from '../../../src/shared/base/failures.ts';

/** As a workflow gets what an activity has thrown. */
const fromActivity = (cause: Error): ActivityFailure =>
  new ActivityFailure('Activity task failed', 'prepareRun', '1', RetryState.NON_RETRYABLE_FAILURE, 'worker', cause);

test('a person reads what our code has said with its remedy, not what wraps it or what caused it', () => {
  const cause = new Error('git ls-remote ended with code 128: fatal: repository not found');
  const said = terminal(FailureType.RepositoryUnusable, 'tried to read the branches of x', 'Check the name.', cause);
  expect(said.cause).toBe(cause);
  expect(rootMessage(fromActivity(said))).toBe('tried to read the branches of x\nCheck the name.');
  expect(failureTypeOf(fromActivity(said))).toBe(FailureType.RepositoryUnusable);
});

test('an error that Temporal has made an ApplicationFailure of is read as it was thrown', () => {
  const thrown = ApplicationFailure.fromError(new Error('reading the ref failed', { cause: new Error('ECONNRESET') }));
  expect(rootMessage(fromActivity(thrown))).toBe('reading the ref failed');
});

test('where our code has said nothing, the message nearest to the root is read', () => {
  expect(rootMessage(new Error('outer', { cause: new Error('inner', { cause: new Error('') }) }))).toBe('inner');
  expect(rootMessage('no error at all')).toBe('no error at all');
});
