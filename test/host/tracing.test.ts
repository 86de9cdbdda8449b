import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { trace } from '@opentelemetry/api';
import { beforeAll, expect, test } from 'vitest';
import { startTracing, type Tracing } from '../../src/host/tracing.ts';
import { lookoutWorker } from '../../src/host/lookout-worker.ts';
import { temporal } from '../support/temporal.ts';

const bodies: string[] = [];
let tracing: Tracing;

beforeAll(async () => {
  const collector = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      bodies.push(Buffer.concat(parts).toString('latin1'));
      response.end();
    });
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
  const { port } = collector.address() as AddressInfo;
  // The exporter reads the process's own.
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = `http://127.0.0.1:${port}`;
  tracing = startTracing(process.env);
  return () => {
    delete process.env.OTEL_EXPORTER_OTLP_ENDPOINT;
    collector.close();
  };
});

/** Runs a workflow with one activity. @returns the trace that the activity is in, and whether it is recorded. */
async function traced(options: {
  traced: boolean;
}): Promise<{ workflowId: string; traceId: string; sampled: boolean }> {
  const server = await temporal();
  const taskQueue = server.uniqueQueue();
  const Worker = lookoutWorker({ guarded: false, ...options, onEndless: () => undefined });
  const worker = await Worker.create({
    connection: await server.workerConnection(),
    taskQueue,
    workflowsPath: join(import.meta.dirname, '..', 'support', 'waiting-workflows.ts'),
    activities: {
      traceparent: () => {
        const { traceId = '', traceFlags = 0 } = trace.getActiveSpan()?.spanContext() ?? {};
        return Promise.resolve(`${traceId}-${traceFlags}`);
      },
    },
    sinks: tracing.sinks,
    interceptors: {
      ...tracing.worker,
      workflowModules: [join(import.meta.dirname, '../..', 'src', 'workflows', 'bundle', 'interceptors.ts')],
    },
  });
  const client = await server.client();
  const workflowId = `${taskQueue}-1`;
  const said = await worker.runUntil(
    client.workflow.execute<() => Promise<string>>('traces', { workflowId, taskQueue }),
  );
  const [traceId = '', flags] = said.split('-');
  return { workflowId, traceId, sampled: flags === '1' };
}

test('spans of workflows are made only where they are sent somewhere; a run is one trace in any case', async () => {
  const off = await traced({ traced: false });
  expect(off).toMatchObject({ traceId: expect.stringMatching(/^(?!0{32})[0-9a-f]{32}$/), sampled: false });
  const on = await traced({ traced: true });
  expect(on).toMatchObject({ traceId: expect.stringMatching(/^(?!0{32})[0-9a-f]{32}$/), sampled: true });
  await tracing.stop();
  const sent = bodies.join('');
  expect(sent).toContain('RunWorkflow:traces');
  expect(sent).toContain(on.workflowId);
  expect(sent).not.toContain(off.workflowId);
}, 60_000);
