/** Temporal's runtime of this process: its log lines join ours, and its metrics and ours are served together. */
import { Runtime, type RuntimeOptions } from '@temporalio/worker';
import type { Logger } from 'pino';
import type { Config } from '../shared/config/worker-config.ts';

/**
 * Once per process; signals are handled by whoever runs the worker. The meter exports nowhere unless the
 * configuration names an address. Throws, naming it, where that cannot be listened on.
 */
export function installRuntime(options: {
  log: Logger;
  metrics: Config['metrics'];
  /** Upper bounds, by name of a histogram. */
  histogramBuckets: Readonly<Record<string, number[]>>;
}): Runtime['metricMeter'] {
  const { log, metrics, histogramBuckets } = options;
  const { prometheus } = metrics;
  const runtime: RuntimeOptions = {
    shutdownSignals: [],
    logger: {
      log: (level, message, meta) => log[level.toLowerCase() as 'info'](meta ?? {}, message),
      trace: (message, meta) => log.trace(meta ?? {}, message),
      debug: (message, meta) => log.debug(meta ?? {}, message),
      info: (message, meta) => log.info(meta ?? {}, message),
      warn: (message, meta) => log.warn(meta ?? {}, message),
      error: (message, meta) => log.error(meta ?? {}, message),
    },
    ...(prometheus === undefined
      ? {}
      : {
          telemetryOptions: {
            metrics: {
              prometheus: { bindAddress: prometheus.bindAddress, histogramBucketOverrides: { ...histogramBuckets } },
            },
          },
        }),
  };
  try {
    return Runtime.install(runtime).metricMeter;
  } catch (error) {
    if (prometheus === undefined) throw error;
    throw new Error(
      `Metrics cannot be served on ${prometheus.bindAddress} (metrics.prometheus.bindAddress): ${(error as Error).message}. ` +
        'Each worker needs an address of its own that is free.',
      { cause: error },
    );
  }
}
