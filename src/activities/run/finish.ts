/** The end of a run on its remote: refs of work that landed go, the target is read back. */
import type { RunActivities } from '../../shared/contracts/activities.ts';
import { runRefPrefix } from '../../shared/base/ids.ts';
import type { Mirrors } from '../git/contract.ts';
import type { Log } from '../support/log.ts';

/** @returns `finishRun` of RunActivities. Idempotent: refs that are gone already are no error. */
export function createFinishRun({ mirrors, log }: { mirrors: Mirrors; log: Log }): RunActivities['finishRun'] {
  return async ({ run, keep }) => {
    const mirror = await mirrors.open(run.repo);
    const refs = [...(await mirror.listRemoteRefs(runRefPrefix(run.root.workflowId))).keys()];
    const retained = new Set(keep);
    const gone = refs.filter((ref) => !retained.has(ref));
    await mirror.deleteRemoteRefs(gone);
    log.info(
      { run: run.root.workflowId, deleted: gone.length, retained: refs.length - gone.length },
      'refs of the run',
    );
    const tip = await mirror.readRemoteRef(`refs/heads/${run.target}`);
    return { tip, kept: refs.filter((ref) => retained.has(ref)) };
  };
}
