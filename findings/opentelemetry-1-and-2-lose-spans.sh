#!/usr/bin/env bash
# Spans of OpenTelemetry's SDK 1.x given to an exporter of the 2.x line, or the other way round, vanish without a word.
#
# Versions:   @opentelemetry/api 1.9.1; sdk-trace-base 1.30.1 and 2.12.0; exporter-trace-otlp-http 0.57.2 (of the 1.x
#             line) and 0.223.0 (of the 2.x line); Node 24.21.0.
# Documented: both lines implement the same interfaces (SpanProcessor, SpanExporter) over one api package, and npm installs
#             them side by side without a warning. The notes of 2.0 call other lines' exporters not compatible; what
#             happens then is not said.
# Behaviour:  the batch processor exports in the background, and nothing arrives: no request is made, nothing is thrown,
#             and nothing is printed unless a logger for diagnostics was set. Only forceFlush, which few programs call,
#             tells: it rejects with a TypeError about a field that the other line has renamed.
# So:         an application whose packages bring exporters and SDKs of both lines (interceptors, and libraries that trace
#             themselves, do) shows traces with holes. Pin one line, and set a logger for diagnostics.
#
# Output:
#   SDK 1.30.1, exporter 0.57.2: 2 of 2 spans arrive, 0 unhandled errors, nothing printed; forceFlush: ok
#   SDK 1.30.1, exporter 0.223.0: 0 of 2 spans arrive, 0 unhandled errors, nothing printed; forceFlush: TypeError: Cannot read properties of undefined (reading 'name')
#   SDK 2.12.0, exporter 0.57.2: 0 of 2 spans arrive, 0 unhandled errors, nothing printed; forceFlush: TypeError: Cannot read properties of undefined (reading 'name')
#   SDK 2.12.0, exporter 0.223.0: 2 of 2 spans arrive, 0 unhandled errors, nothing printed; forceFlush: ok
source "$(dirname "$0")/common.bash"
install node@24.21.0 @opentelemetry/api@1.9.1 sdk-1@npm:@opentelemetry/sdk-trace-base@1.30.1 \
  sdk-2@npm:@opentelemetry/sdk-trace-base@2.12.0 exporter-1@npm:@opentelemetry/exporter-trace-otlp-http@0.57.2 \
  exporter-2@npm:@opentelemetry/exporter-trace-otlp-http@0.223.0

cat >meet.mjs <<'JS'
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { context, trace } from '@opentelemetry/api';
import * as exporter1 from 'exporter-1';
import * as exporter2 from 'exporter-2';
import * as sdk1 from 'sdk-1';
import * as sdk2 from 'sdk-2';

let arrived = 0;
const collector = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  for (const { scopeSpans } of JSON.parse(body).resourceSpans) for (const { spans } of scopeSpans) arrived += spans.length;
  response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
});
await new Promise((listening) => collector.listen(0, '127.0.0.1', listening));
const url = `http://127.0.0.1:${collector.address().port}/v1/traces`;
let [printed, unhandled] = [0, 0];
for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream);
  stream.write = (...args) => (printed++, write(...args));
}
for (const event of ['uncaughtException', 'unhandledRejection', 'warning']) process.on(event, () => unhandled++);
for (const [sdkVersion, sdk] of [['1.30.1', sdk1], ['2.12.0', sdk2]]) {
  for (const [exporterVersion, { OTLPTraceExporter }] of [['0.57.2', exporter1], ['0.223.0', exporter2]]) {
    [arrived, printed, unhandled] = [0, 0, 0];
    const processor = new sdk.BatchSpanProcessor(new OTLPTraceExporter({ url }), { scheduledDelayMillis: 50 });
    const provider = new sdk.BasicTracerProvider({ spanProcessors: [processor] });
    const tracer = provider.getTracer('find');
    const parent = tracer.startSpan('parent');
    tracer.startSpan('child', {}, trace.setSpan(context.active(), parent)).end();
    parent.end();
    await sleep(1_500);
    const inBackground = `${arrived} of 2 spans arrive, ${unhandled} unhandled errors, ${printed === 0 ? 'nothing' : 'something'} printed`;
    tracer.startSpan('flushed').end();
    const flushed = await provider.forceFlush().then(() => 'ok', String);
    console.log(`SDK ${sdkVersion}, exporter ${exporterVersion}: ${inBackground}; forceFlush: ${flushed}`);
  }
}
collector.closeAllConnections();
collector.close();
process.exit();
JS
expect_seen "$(node meet.mjs)"
