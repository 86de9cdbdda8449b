/**
 * A person's freeze of a branch, as a ref of its remote: it outlives the queue's workflow, its history and the server.
 * The ref names a commit without files, whose message is the reason and whose date says since when. Any commit that
 * somebody pushes there freezes the branch too.
 */
import type { FreezeActivities } from '../../shared/contracts/activities.ts';
import type { Freeze } from '../../shared/contracts/gate.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { frozenRef } from '../../shared/base/ids.ts';
import { DEFAULT_RUN_SETTINGS } from '../../shared/contracts/run-settings.ts';
import type { Mirror, Mirrors } from '../git/contract.ts';
import { GitError, remoteWords } from '../git/errors.ts';
import { heartbeating } from '../support/heartbeats.ts';

const MAX_REASON_CHARS = 2_000;
const NO_REASON = 'no reason is given';

/** Both heartbeat. */
export function createFreezeActivities({ mirrors }: { mirrors: Mirrors }): FreezeActivities {
  return {
    readFreeze({ repo, target }) {
      return heartbeating(async () => ({ freeze: await read(await mirrors.open(repo), frozenRef(target)) }));
    },

    keepFreeze({ repo, target, freeze }) {
      return heartbeating(async () => {
        const mirror = await mirrors.open(repo);
        const ref = frozenRef(target);
        try {
          if (freeze === null) await mirror.deleteRemoteRefs([ref]);
          else await mirror.pushWork(await write(mirror, freeze), ref);
        } catch (error) {
          if (!(error instanceof GitError) || error.kind !== 'refused') throw error;
          throw terminal(
            FailureType.PushRefused,
            `${repo.location} refused to ${freeze === null ? 'delete' : 'set'} ${ref}: ${remoteWords(error.output)}`,
            'Let the worker create and delete refs below refs/agentswarm/.',
            error,
          );
        }
      });
    },
  };
}

async function read(mirror: Mirror, ref: string): Promise<Freeze | null> {
  const commit = await mirror.readRemoteRef(ref);
  if (commit === null) return null;
  await mirror.ensureCommit(commit, ref);
  const { stdout } = await mirror.git(['show', '--no-patch', '--format=%ct%n%B', commit]);
  const [seconds = '', ...message] = stdout.toString('utf8').split('\n');
  const reason = message.join('\n').trim().slice(0, MAX_REASON_CHARS).toWellFormed();
  return {
    by: 'person',
    reason: reason === '' ? NO_REASON : reason,
    since: (Number.parseInt(seconds, 10) || 0) * 1_000,
  };
}

/** The same commit for the same freeze. */
async function write(mirror: Mirror, { reason, since }: Freeze) {
  const { stdout } = await mirror.git(['mktree'], { stdin: '' });
  const tree = stdout.toString('utf8').trim();
  const { author } = DEFAULT_RUN_SETTINGS;
  return await mirror.commitTree({ tree, parents: [], message: `${reason}\n`, author, at: new Date(since) });
}
