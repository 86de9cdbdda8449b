/** Keeps `<state folder>/endpoints/<pid>.json` as the router stands, for `agentswarm endpoints`, and the metrics. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ENDPOINTS_EVERY_MS, ENDPOINTS_FOLDER, type WorkerEndpoints } from '../../shared/contracts/endpoint-status.ts';
import type { Log } from '../support/log.ts';
import type { LlmMetrics } from './metrics.ts';
import type { Router } from './router/router.ts';
import { statusOf } from './router/status.ts';

/**
 * Writes at once and every two seconds, each time the whole file. What cannot be written is logged once and costs
 * nothing else. The function it gives ends that and removes the file.
 */
export function publishEndpoints(options: {
  router: Router;
  stateDir: string;
  log: Log;
  metrics?: LlmMetrics;
}): () => Promise<void> {
  const { router, stateDir, log, metrics } = options;
  const folder = join(stateDir, ENDPOINTS_FOLDER);
  const file = join(folder, `${process.pid}.json`);
  const startedAt = Date.now();
  let said = false;
  let writing: Promise<void> = Promise.resolve();

  async function write(): Promise<void> {
    const now = endpointsNow(router, startedAt);
    metrics?.stand(now);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const text = JSON.stringify(now);
      await writeFile(`${file}.partial`, text, { mode: 0o600 });
      await rename(`${file}.partial`, file);
    } catch (error) {
      if (!said) log.warn({ err: error, file }, 'the state of the LLM endpoints cannot be written for others to see');
      said = true;
    }
  }
  const writeNext = (): void => {
    writing = writing.then(write);
  };
  writeNext();
  const timer = setInterval(writeNext, ENDPOINTS_EVERY_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await writing;
    // What is left behind is old within seconds, and passed over then.
    for (const name of [file, `${file}.partial`]) await rm(name, { force: true }).catch(() => undefined);
  };
}

/** How the endpoints of this process stand now. */
export function endpointsNow(router: Router, startedAt: number): WorkerEndpoints {
  const { contenders, waiting } = router.look();
  const at = router.clock.now();
  return {
    version: 1,
    pid: process.pid,
    startedAt,
    at,
    endpoints: statusOf(contenders, at),
    waiting: { calls: waiting.calls, ...(waiting.since === undefined ? {} : { since: waiting.since }) },
  };
}
