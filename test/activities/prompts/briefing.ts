/** What tests of briefs share: a new repository for each test, mirrors and prompts, and what a brief says. */
import { join } from 'node:path';
import { afterAll, beforeEach, expect } from 'vitest';
import { createMirrors } from '../../../src/activities/git/mirrors.ts';
import { loadPrompts } from '../../../src/activities/prompts/prompts.ts';
import type { Message } from '../../../src/shared/contracts/agent.ts';
import { TaskSpec } from '../../../src/shared/contracts/task.ts';
import { bareRepository, temporaryFolder, type TestFiles, type TestRepository } from '../../support/repos.ts';
import { PROMPTS_DIR } from '../../support/run-context.ts';

/** `at.repository` and `at.base`, its first commit, are new in each test. */
export function useBriefing(files: TestFiles) {
  const folder = temporaryFolder();
  const deps = { mirrors: createMirrors({ dir: join(folder.dir, 'mirrors') }), prompts: loadPrompts(PROMPTS_DIR) };
  const at = {} as { repository: TestRepository; base: string };
  let count = 0;
  beforeEach(() => {
    at.repository = bareRepository(join(folder.dir, `${count++}.git`), files);
    at.base = at.repository.tip();
  });
  afterAll(() => folder.remove());
  return { deps, at };
}

export const TASK_FILES = { 'a.txt': '1\n', 'b.txt': '1\n', 'AGENTS.md': 'Be brief.\n' };
export const task = TaskSpec.parse({
  id: 'alpha',
  description: 'Write alpha.',
  scope: ['src/alpha.ts', 'docs/'],
  acceptance: [{ text: 'Its tests pass', command: 'npm test' }, { text: 'It is documented' }],
});

/** What stands behind the system's message; a brief has nothing else. */
export function textOf(messages: Message[]): string {
  const [system, user, ...rest] = messages;
  expect([system?.role, rest.length]).toEqual(['system', 0]);
  if (user?.role !== 'user') throw new Error(`not a message of the user: ${user?.role}`);
  return user.text;
}
