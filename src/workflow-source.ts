/** Where a worker finds the workflows: their source in a checkout, the bundle that `prepack` made in the package. */
import { fileURLToPath } from 'node:url';
import type { BundleOptions, WorkflowBundlePathWithSourceMap } from '@temporalio/worker';

/** A checkout runs unbuilt; in the package this file is JavaScript. */
const inCheckout = import.meta.url.endsWith('.ts');

/** Beside this file in the package; written by infra/pack. */
export const BUNDLE_NAME = 'workflow-bundle.js';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** What the bundle is made of. Interceptors are part of it: histories depend on them. */
export function bundleOptions(): Pick<BundleOptions, 'workflowsPath' | 'workflowInterceptorModules'> {
  return {
    workflowsPath: path('./workflows/index.ts'),
    workflowInterceptorModules: [path('./workflows/interceptors.ts')],
  };
}

/** For `Worker.create`: spread it into the options (the interceptors go along in both cases). */
export function workflowSource():
  | { workflowBundle: WorkflowBundlePathWithSourceMap | { codePath: string } }
  | { workflowsPath: string; interceptors: { workflowModules: string[] } } {
  if (!inCheckout) return { workflowBundle: { codePath: path(`./${BUNDLE_NAME}`) } };
  const { workflowsPath, workflowInterceptorModules = [] } = bundleOptions();
  return { workflowsPath, interceptors: { workflowModules: workflowInterceptorModules } };
}
