/** Tracing inside workflows. Part of the bundle: histories depend on what interceptors do. */
export { interceptors } from '@temporalio/interceptors-opentelemetry-v2/lib/workflow-interceptors.js';
