/**
 * OpenTelemetry: one trace per run, across workflows and activities. The interceptors always run (histories
 * depend on them); spans leave the process only when OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) is set.
 */
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NoopSpanProcessor, type SpanProcessor } from '@opentelemetry/sdk-trace-base';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { OpenTelemetryWorkflowClientInterceptor } from '@temporalio/interceptors-opentelemetry-v2';
import {
  makeWorkflowExporter,
  OpenTelemetryActivityInboundInterceptor,
  OpenTelemetryActivityOutboundInterceptor,
} from '@temporalio/interceptors-opentelemetry-v2/lib/worker/index.js';
import type { ClientInterceptors } from '@temporalio/client';
import type { InjectedSinks, WorkerInterceptors } from '@temporalio/worker';

export type Tracing = {
  client: ClientInterceptors;
  /** Without `workflowModules`: these are part of the workflow source. */
  worker: Pick<WorkerInterceptors, 'activity'>;
  sinks: InjectedSinks<never>;
  /** Whether spans leave the process. */
  exports: boolean;
  /** Sends what is left. */
  stop(): Promise<void>;
};

/** Registers the process's tracer provider; to be called once. */
export function startTracing(env: NodeJS.ProcessEnv): Tracing {
  const exports = Boolean(env.OTEL_EXPORTER_OTLP_ENDPOINT ?? env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT);
  const processor: SpanProcessor = exports ? new BatchSpanProcessor(new OTLPTraceExporter()) : new NoopSpanProcessor();
  const resource = resourceFromAttributes({ 'service.name': env.OTEL_SERVICE_NAME ?? 'agentswarm' });
  const provider = new NodeTracerProvider({ resource, spanProcessors: [processor] });
  provider.register();
  return {
    client: { workflow: [new OpenTelemetryWorkflowClientInterceptor()] },
    worker: {
      activity: [
        (context) => ({
          inbound: new OpenTelemetryActivityInboundInterceptor(context),
          outbound: new OpenTelemetryActivityOutboundInterceptor(context),
        }),
      ],
    },
    sinks: { exporter: makeWorkflowExporter(processor, resource) } as unknown as InjectedSinks<never>,
    exports,
    stop: () => provider.shutdown(),
  };
}
