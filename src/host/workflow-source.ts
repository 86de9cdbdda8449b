/** Where a worker finds the workflows: their source in a checkout, the bundle that `prepack` made in the package. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';

/** A checkout runs unbuilt; in the package this file is JavaScript. */
const inCheckout = import.meta.url.endsWith('.ts');

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const workflowsPath = path('../workflows/index.ts');

/** What a bundle of the workflows is made of. Interceptors are part of it: histories depend on them. */
export const bundleOptions = (): {
  workflowsPath: string;
  workflowInterceptorModules: string[];
  payloadConverterPath: string;
  preloadModules: string[];
} => ({
  workflowsPath,
  workflowInterceptorModules: [path('../workflows/bundle/interceptors.ts'), path('../workflows/bundle/undecodable.ts')],
  payloadConverterPath: path('../workflows/bundle/payload-converter.ts'),
  preloadModules: [path('../workflows/bundle/preload.ts')],
});

/**
 * For `Worker.create({ workflowBundle })`, interceptors included. In a checkout the workflows are bundled when they
 * have changed (some seconds of webpack) and kept in the user's cache folder, named by their content.
 */
export async function workflowBundle(env: NodeJS.ProcessEnv): Promise<{ codePath: string }> {
  if (!inCheckout) return { codePath: path('./workflow-bundle.js') };
  const folder = join(cacheFolder(env), 'agentswarm', 'workflows');
  const codePath = join(folder, `${await contentHash()}.js`);
  if (existsSync(codePath)) return { codePath };
  const { code } = await bundleWorkflowCode({ ...bundleOptions(), logger: new DefaultLogger('WARN') });
  await mkdir(folder, { recursive: true });
  const beside = `${codePath}.${process.pid}`;
  await writeFile(beside, code);
  await rename(beside, codePath);
  await removeOldest(folder);
  return { codePath };
}

/** What the bundle is made from: our sources, and the versions of what they import. */
async function contentHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of ['../workflows', '../shared']) {
    const names = (await readdir(path(folder), { recursive: true })).filter((name) => name.endsWith('.ts')).sort();
    for (const name of names) hash.update(`${folder}/${name}\0`).update(await readFile(join(path(folder), name)));
  }
  hash.update(await readFile(path('../../package-lock.json')));
  // With paths, which source maps hold too.
  return hash.update(JSON.stringify(bundleOptions())).digest('hex').slice(0, 32);
}

function cacheFolder(env: NodeJS.ProcessEnv): string {
  const xdg = env.XDG_CACHE_HOME;
  return xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), '.cache');
}

async function removeOldest(folder: string): Promise<void> {
  const files = await Promise.all(
    (await readdir(folder)).map(async (name) => ({ name, at: (await stat(join(folder, name))).mtimeMs })),
  );
  files.sort((a, b) => b.at - a.at);
  for (const { name } of files.slice(KEPT_BUNDLES)) await rm(join(folder, name), { force: true });
}

/** Some megabytes each. */
const KEPT_BUNDLES = 10;
