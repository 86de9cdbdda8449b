/** Tracing inside workflows. Part of the bundle: histories depend on what interceptors do. */
import { interceptors as traced } from '@temporalio/interceptors-opentelemetry-v2/lib/workflow-interceptors.js';
import {
  defaultPayloadConverter,
  type Headers,
  type WorkflowInboundCallsInterceptor,
  type WorkflowInterceptorsFactory,
  workflowInfo,
} from '@temporalio/workflow';

/** The header of the interceptors, W3C's `traceparent` in it. */
const HEADER = '_tracer-data';

/**
 * Where spans are sent nowhere: a trace that is not sampled, so that none is made, and the ids go on all the same.
 * https://www.w3.org/TR/trace-context/#traceparent-header
 */
function unsampled(headers: Headers): Headers {
  const given = headers[HEADER];
  const carrier =
    given === undefined ? {} : defaultPayloadConverter.fromPayload<{ traceparent?: unknown } | null>(given);
  const id = workflowInfo().runId.replaceAll('-', '');
  const parent = carrier?.traceparent;
  const traceparent = (typeof parent === 'string' ? parent : `00-${id}-${id.slice(16)}-01`).replace(/-..$/, '-00');
  return { ...headers, [HEADER]: defaultPayloadConverter.toPayload({ ...carrier, traceparent }) };
}

const untraced: WorkflowInboundCallsInterceptor = {
  execute: (input, next) => next({ ...input, headers: unsampled(input.headers) }),
  handleSignal: (input, next) => next({ ...input, headers: unsampled(input.headers) }),
  handleQuery: (input, next) => next({ ...input, headers: unsampled(input.headers) }),
  handleUpdate: (input, next) => next({ ...input, headers: unsampled(input.headers) }),
  validateUpdate: (input, next) => next({ ...input, headers: unsampled(input.headers) }),
};

export const interceptors: WorkflowInterceptorsFactory = () => {
  const { inbound = [], ...others } = traced();
  // Set by the thread, see src/host/workflow-thread.ts.
  const isUntraced = '__AGENTSWARM_UNTRACED__' in globalThis;
  return { ...others, inbound: isUntraced ? [untraced, ...inbound] : inbound };
};
