import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ConfigError, loadConfig } from '../../src/host/load-config.ts';
import { connectionOptions, embeddedTarget, externalTarget } from '../../src/host/connection.ts';
import { writeServerState } from '../../src/host/server-state.ts';

const root = mkdtempSync(join(tmpdir(), 'agentswarm-config-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A folder of its own with these files: modules are imported once per path. */
function folder(files: Record<string, string> = {}): string {
  const dir = mkdtempSync(join(root, 'x-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

test('without a file the defaults hold, and state is in the user’s state folder', async () => {
  const loaded = await loadConfig({ cwd: folder(), env: {} });
  expect(loaded).toMatchObject({ config: { taskQueue: 'agentswarm', sandbox: { unsafe: false } } });
  expect(loaded.path).toBe(undefined);
  expect(loaded.stateDir).toBe(join(homedir(), '.local/state/agentswarm'));
});

test('the file in the current folder is read, types and all', async () => {
  const cwd = folder({
    'temporal.config.ts': `const queue: string = 'mine'; export default { taskQueue: queue, stateDir: './st' } as const;`,
  });
  const loaded = await loadConfig({ cwd, env: {} });
  expect(loaded.config.taskQueue).toBe('mine');
  expect(loaded.path).toBe(join(cwd, 'temporal.config.ts'));
  expect(loaded.stateDir).toBe(join(cwd, 'st'));
});

test('the state folder comes from the option, then the variable, then the file, then XDG_STATE_HOME', async () => {
  const cwd = folder({ 'temporal.config.mjs': `export default { stateDir: 'file' }` });
  const env = { AGENTSWARM_STATE_DIR: '/var/env', XDG_STATE_HOME: '/var/xdg' };
  expect((await loadConfig({ cwd, env, stateDir: 'option' })).stateDir).toBe(join(cwd, 'option'));
  expect((await loadConfig({ cwd, env })).stateDir).toBe('/var/env');
  const { XDG_STATE_HOME } = env;
  expect((await loadConfig({ cwd, env: { XDG_STATE_HOME } })).stateDir).toBe(join(cwd, 'file'));
  expect((await loadConfig({ cwd: folder(), env: { XDG_STATE_HOME } })).stateDir).toBe('/var/xdg/agentswarm');
  const relative = await loadConfig({ cwd: folder(), env: { XDG_STATE_HOME: 'x' } });
  expect(relative.stateDir).toBe(join(homedir(), '.local/state/agentswarm'));
});

test.each([
  ['an unknown key', `export default { taskQeue: 'x' }`, 'Unrecognized key: "taskQeue"'],
  ['a wrong type', `export default { sandbox: { maxSandboxes: 'many' } }`, 'sandbox.maxSandboxes: '],
  ['no default export', `export const x = 1`, 'has no default export'],
  ['a syntax error', `export default {`, 'failed: '],
])('%s is refused with the file and the key', async (_what, text, message) => {
  const cwd = folder({ 'temporal.config.mjs': text });
  const failure = await loadConfig({ cwd, env: {} }).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ConfigError);
  expect((failure as Error).message).toContain(message);
  expect((failure as Error).message).toContain('temporal.config.mjs');
});

test('the server is the environment’s, then the file’s, then the embedded one; without any it says what to do', async () => {
  const cwd = folder({ 'temporal.config.mjs': `export default { temporal: { address: 'file:7', namespace: 'ns' } }` });
  const { config } = await loadConfig({ cwd, env: {} });
  const TEMPORAL_CONFIG_FILE = join(folder({ 'none.toml': '[profile.other]' }), 'none.toml');
  const named = await externalTarget({
    config,
    env: { TEMPORAL_CONFIG_FILE, TEMPORAL_ADDRESS: 'env:7', TEMPORAL_NAMESPACE: 'env-ns', TEMPORAL_API_KEY: 'k' },
  });
  expect(named).toMatchObject({ source: 'environment', address: 'env:7', namespace: 'env-ns' });
  expect(named?.connection).toMatchObject({ address: 'env:7', apiKey: 'k', tls: true });
  const fromFile = await externalTarget({ config, env: { TEMPORAL_CONFIG_FILE } });
  expect(fromFile).toMatchObject({
    source: 'config',
    address: 'file:7',
    namespace: 'ns',
    connection: { address: 'file:7' },
  });

  const { config: bare } = await loadConfig({ cwd: folder(), env: {} });
  const stateDir = folder();
  const request = { config: bare, env: { TEMPORAL_CONFIG_FILE }, stateDir };
  await expect(connectionOptions(request)).rejects.toThrow('Set TEMPORAL_ADDRESS, or start `agentswarm dev` first');
  const state = { address: '127.0.0.1:9', uiUrl: 'http://127.0.0.1:10', namespace: 'default', port: 9, uiPort: 10 };
  writeServerState(stateDir, { ...state, pid: process.pid });
  expect(await connectionOptions(request)).toMatchObject({ source: 'embedded', address: '127.0.0.1:9' });
  writeServerState(stateDir, state);
  expect(await embeddedTarget(request)).toBe(null);
});

test('payload codecs are loaded from the path in the file, which stands on the file’s folder', async () => {
  const codec = `{ async encode(p) { return p; }, async decode(p) { return p; } }`;
  const cwd = folder({
    'temporal.config.mjs': `export default { temporal: { address: 'a:1', payloadCodecs: './codecs.mjs' } }`,
    'codecs.mjs': `export default [${codec}]`,
  });
  const { config } = await loadConfig({ cwd, env: {} });
  const target = await externalTarget({ config, env: {} });
  expect(target?.dataConverter.payloadCodecs).toHaveLength(1);
  writeFileSync(join(cwd, 'wrong.mjs'), 'export default { encode: 1 }');
  const wrong = { ...config, temporal: { ...config.temporal, payloadCodecs: join(cwd, 'wrong.mjs') } };
  await expect(externalTarget({ config: wrong, env: {} })).rejects.toThrow('is not a list of codecs');
});
