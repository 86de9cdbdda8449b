/** Which workers have calls of this run that wait for a model, as they say. Pure. */
import type { ModelWait, WaitingForModel } from '../../../shared/contracts/model-wait.ts';
import { MODEL_WAIT_EVERY_MS } from '../../../shared/contracts/model-wait.ts';

/** Workers are few; who sends more names than this is not one. */
const MAX_WORKERS = 100;

export class ModelWaits {
  private readonly waits = new Map<string, WaitingForModel>();

  /** Signals of one worker may overtake each other: the newest counts. */
  heard({ worker, at, waiting }: ModelWait): void {
    const known = this.waits.get(worker);
    if (known !== undefined && known.heardAt > at) return;
    this.waits.delete(worker);
    for (const [other, { heardAt }] of this.waits) {
      if (heardAt + 2 * MODEL_WAIT_EVERY_MS < at) this.waits.delete(other);
    }
    if (waiting !== undefined && this.waits.size < MAX_WORKERS) this.waits.set(worker, { ...waiting, heardAt: at });
  }

  /** undefined: nobody waits. */
  all(): WaitingForModel | undefined {
    const waits = [...this.waits.values()].toSorted((a, b) => a.since - b.since);
    const [first] = waits;
    if (first === undefined) return undefined;
    return {
      since: first.since,
      calls: waits.reduce((sum, { calls }) => sum + calls, 0),
      why: first.why,
      heardAt: Math.max(...waits.map(({ heardAt }) => heardAt)),
    };
  }
}
