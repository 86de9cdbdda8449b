/** Where a worker finds the workflows: their source in a checkout, the bundle that `prepack` made in the package. */
import { fileURLToPath } from 'node:url';

/** A checkout runs unbuilt; in the package this file is JavaScript. */
const inCheckout = import.meta.url.endsWith('.ts');

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const workflowsPath = path('./workflows/index.ts');
const workflowModules = [path('./workflows/interceptors.ts')];

/** What a bundle of the workflows is made of. Interceptors are part of it: histories depend on them. */
export const bundleOptions = (): { workflowsPath: string; workflowInterceptorModules: string[] } => ({
  workflowsPath,
  workflowInterceptorModules: workflowModules,
});

/** For `Worker.create`; the interceptors of workflows go along in both cases. */
export const workflowSource = ():
  | { workflowBundle: { codePath: string } }
  | { workflowsPath: string; interceptors: { workflowModules: string[] } } =>
  inCheckout
    ? { workflowsPath, interceptors: { workflowModules } }
    : { workflowBundle: { codePath: path('./workflow-bundle.js') } };
