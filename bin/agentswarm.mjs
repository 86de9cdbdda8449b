#!/usr/bin/env node
/** The command: dist/ in the package, the source under the checkout's own Node 24 in a checkout. */
import { existsSync, realpathSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = dirname(import.meta.dirname);
const source = join(root, 'src', 'cli', 'main.ts');

/** Compiled code is kept, in the user's own cache folder: commands and workers start in half the CPU. Node ≥ 22.8. */
function keepCompiledCode() {
  const xdg = process.env.XDG_CACHE_HOME;
  const cache = xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), '.cache');
  // The variable is for the processes that this one starts.
  process.env.NODE_COMPILE_CACHE ??= join(cache, 'agentswarm', 'compiled');
  nodeModule.enableCompileCache?.(process.env.NODE_COMPILE_CACHE);
}

/** @param {string} message */
function refuse(message) {
  process.stderr.write(`agentswarm: ${message}\n`);
  process.exit(2);
}

async function inCheckout() {
  const node = join(root, 'node_modules', 'node', 'bin', 'node');
  if (!existsSync(node)) {
    const { asksForHelp, helpOf } = await import('../infra/setup/help.mjs');
    if (asksForHelp(process.argv.slice(2))) {
      process.stdout.write(`${helpOf('agentswarm')}\n`);
      return;
    }
    refuse(`this checkout is not set up: ${node} is missing. Run \`npm run setup\` in ${root}, then try again.`);
  }
  if (realpathSync(node) === realpathSync(process.execPath)) {
    process.argv[1] = source;
    await import(pathToFileURL(source).href);
    return;
  }
  const { runTarget } = await import('../infra/setup/target.mjs');
  process.exitCode = await runTarget({ root, node, args: ['src/cli/main.ts', ...process.argv.slice(2)] });
}

async function inPackage() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 22 || (major === 22 && minor < 12)) {
    refuse(`Node 22.12 or later is needed; this is ${process.versions.node} (${process.execPath}).`);
  }
  const built = join(root, 'dist', 'src', 'cli', 'main.js');
  process.argv[1] = built;
  await import(pathToFileURL(built).href);
}

keepCompiledCode();
await (existsSync(source) ? inCheckout() : inPackage());
