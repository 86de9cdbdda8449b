/** What a person is told when the remote does not do what a run needs: terminal where only the person can mend it. */
import { ApplicationFailure } from '@temporalio/common';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { GitError, remoteWords } from './errors.ts';

const LOGIN =
  "The worker logs in as its own user: by git's credential helper, an ssh agent, or AGENTSWARM_GIT_TOKEN " +
  'in its environment. Check that one of them may read and push to this repository.';
const MAX_WORDS = 1_000;

/**
 * Runs `work` and translates an error of git about a remote.
 * @param tried what was being done, as in "read the branches".
 * @throws terminal RepositoryUnusable, or a retryable failure when the network may be the cause; others as they are.
 */
export async function onRemote<T>(location: string, tried: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    throw translate(error, location, tried);
  }
}

function translate(error: GitError, location: string, tried: string): ApplicationFailure {
  const words = remoteWords(error.output).slice(0, MAX_WORDS);
  const message = `tried to ${tried} of ${location}: ${words === '' ? error.message.slice(0, MAX_WORDS) : words}`;
  const unusable = (remedy: string): ApplicationFailure =>
    terminal(FailureType.RepositoryUnusable, message, remedy, error);
  switch (error.kind) {
    case 'credentials':
      return unusable(LOGIN);
    case 'not-found':
      return unusable(
        `Check the name of the repository. A host may also say so when it does not know the worker. ${LOGIN}`,
      );
    case 'refused':
      return unusable(
        `Allow the worker to create and delete refs below refs/agentswarm/ and to push to the branch. ${LOGIN}`,
      );
    case 'network':
    case 'stale':
    case 'other':
      return ApplicationFailure.create({
        message: `${message}\nIt is tried again. Check the address, the network and proxy of the worker.`,
        cause: error,
      });
  }
}
