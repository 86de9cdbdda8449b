import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { exampleNames, loadExample } from '../../examples/scripted-model/example.ts';
import { type ScriptedModel, startScriptedModel } from '../../examples/scripted-model/server.ts';
import { anthropicClient, type Result } from './model-client.ts';
import { play, shell } from './play.ts';

let folder: string;
let model: ScriptedModel | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'agentswarm-example-'));
});
afterEach(async () => {
  await model?.stop();
  model = undefined;
  rmSync(folder, { recursive: true, force: true });
});

test('the examples are found by their specs', () => {
  expect(exampleNames()).toEqual(['python-library', 'ts-library']);
});

test('the Python library is built over the other protocol, every third turn interrupted', async () => {
  const example = await loadExample('python-library');
  model = await startScriptedModel({ script: example.script });
  let interrupted = 0;
  const played = await play(example, anthropicClient(model.url), folder, (turn, calls, run) => {
    if (turn % 3 !== 2) return run();
    if (interrupted++ % 2 === 0) run();
    return calls.map((call): Result => ({ callId: call.id, status: 'interrupted', output: 'It was interrupted.' }));
  });

  expect(interrupted).toBeGreaterThanOrEqual(4);
  expect(played.plans.filter((ids) => ids.length > 0)).toEqual([
    ['money', 'accounts'],
    ['journal', 'report'],
  ]);
  expect(played.conflicts).toEqual([]);
  expect(played.failedAttempts).toEqual([]);
  const check = shell(played.tree, 'test -z "$(git status --porcelain)" && .venv/bin/python -m pytest -q');
  expect(check.output).toMatch(/28 passed/);
  expect(check.code, check.output).toBe(0);
}, 120_000);
