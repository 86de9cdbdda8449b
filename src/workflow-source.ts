/** Where a worker finds the workflows: their source in a checkout, the bundle that `prepack` made in the package. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { BundleOptions } from '@temporalio/worker';

/** A checkout runs unbuilt; in the package this file is JavaScript. */
const inCheckout = import.meta.url.endsWith('.ts');

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const workflowsPath = path('./workflows/index.ts');

/**
 * What a bundle of the workflows is made of. The interceptors of OpenTelemetry's plugin are part of it, as
 * histories depend on them; a worker on the source gets the same ones from the plugin.
 */
export function bundleOptions(): BundleOptions {
  const { resolve } = createRequire(import.meta.url);
  return {
    workflowsPath,
    workflowInterceptorModules: [resolve('@temporalio/interceptors-opentelemetry-v2/lib/workflow-interceptors.js')],
  };
}

/** For `Worker.create`: spread it into the options. */
export const workflowSource = (): { workflowBundle: { codePath: string } } | { workflowsPath: string } =>
  inCheckout ? { workflowsPath } : { workflowBundle: { codePath: path('./workflow-bundle.js') } };
