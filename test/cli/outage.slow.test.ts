/** A run that is begun while no model can be reached. */
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ScriptedModel, startScriptedModel } from '../../examples/scripted-model/server.ts';
import { bareRepository, temporaryFolder } from '../support/repos.ts';
import { planned, scenarioScript, specOf, writes } from '../support/scenarios.ts';
import { cleanEnvironment, startCommand } from './fixture/command.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const script = scenarioScript({
  late: { plan: () => ({ tasks: [planned('late')], done: true }), tasks: { late: writes({ 'late.txt': 'x\n' }) } },
});
const folder = temporaryFolder();
let model: ScriptedModel | undefined;
let port: number;

beforeAll(async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ({ port } = server.address() as AddressInfo);
  await new Promise((resolve) => server.close(resolve));
});
afterAll(async () => {
  await model?.stop();
  folder.remove();
});

test('begins, says that it waits, and does its work once one answers', { timeout: 180_000 }, async () => {
  const origin = bareRepository(join(folder.dir, 'origin.git'));
  writeFileSync(join(folder.dir, 'short.mjs'), 'export default { llm: { tellWaitSeconds: 2 } };\n');
  const args = ['--spec', specOf('late').text, '--branch', 'main', '--config', 'short.mjs', '--state-dir', 'state'];
  const run = startCommand(['run', origin.dir, '--id', 'late', ...args], {
    cwd: folder.dir,
    env: {
      ...cleanEnvironment(folder.dir),
      OPENAI_API_KEY: 'key',
      OPENAI_MODEL: 'scripted-1',
      OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1`,
    },
    main: MAIN,
  });
  await run.says('run late has started');
  expect(run.stderr()).toMatch(/No LLM endpoint can be reached: agents wait until one is back.*ECONNREFUSED/s);
  await run.says('waiting for a model: no LLM endpoint answers');
  model = await startScriptedModel({ script, port });
  const ended = await run.ended;
  expect(ended.code, ended.stderr).toBe(0);
  expect(ended.stdout).toContain('# Run late: complete');
  expect(origin.files()['late.txt']).toBe('100644 x\n');
});
