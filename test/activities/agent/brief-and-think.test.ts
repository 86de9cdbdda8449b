import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createThinker } from '../../../src/activities/llm/think.ts';
import { createOpeningActivities } from '../../../src/activities/agent/brief-and-think.ts';
import type { Message } from '../../../src/shared/contracts/agent.ts';
import type { OpeningActivities } from '../../../src/shared/contracts/activities.ts';
import { type LlmServer, startLlmServer } from '../../support/llm-server.ts';
import { createTestLog } from '../../support/log.ts';
import { temporaryFolder } from '../../support/repos.ts';
import { endpointTo, thinkRequest } from '../llm/support.ts';

type Request = Parameters<OpeningActivities['briefAndThink']>[0];

let server: LlmServer;
let folder: ReturnType<typeof temporaryFolder>;
/** What was landed meanwhile, of which each new brief tells. */
let landed: number;
beforeEach(async () => {
  server = await startLlmServer();
  folder = temporaryFolder('agentswarm-briefs-');
  landed = 0;
});
afterEach(async () => {
  await server.close();
  folder.remove();
});

const briefOf = (landings: number): Message[] => [
  { role: 'system', text: 'Be brief.' },
  { role: 'user', text: `Landed until now: ${landings}` },
];

/** A worker process of this host: it knows what is on its disk, and nothing else of the one before. */
const worker = () => {
  const log = createTestLog();
  const think = createThinker({
    endpoints: [endpointTo(server, 'openai')],
    journalDir: join(folder.dir, 'journal'),
    transcript: { fetch: () => Promise.resolve([]) },
    chains: { check: () => Promise.resolve({ kind: 'running', paused: false }) },
    config: { idleSeconds: 5, firstTokenSeconds: 60 },
    log,
  });
  const brief = () => Promise.resolve({ messages: briefOf(++landed) });
  const run = { briefWorker: brief, briefConflict: brief };
  return createOpeningActivities({ run, think, journalDir: join(folder.dir, 'briefs'), log });
};

const request = { brief: { role: 'worker', request: {} }, think: thinkRequest({ messageCount: 0 }) } as Request;
const opened = (
  by: OpeningActivities,
  attempt: number,
  runId = 'run-1',
): ReturnType<OpeningActivities['briefAndThink']> => {
  const workflowExecution = { workflowId: 'run/a.1/agent', runId };
  const environment = new MockActivityEnvironment({ attempt, workflowExecution, activityId: '1' });
  return environment.run(() => by.briefAndThink(request));
};

test('an attempt after a kill asks what was asked before it, and has the answer that was paid', async () => {
  const first = await opened(worker(), 1);
  expect(first.answer).toBeDefined();
  const again = await opened(worker(), 2);
  expect(again).toEqual(first);
  expect(again.messages).toEqual(briefOf(1));
  expect(server.requests).toHaveLength(1);
});

test('after a reset of its workflow a brief is made again, also at a second attempt', async () => {
  await opened(worker(), 1);
  expect((await opened(worker(), 2, 'run-2')).messages).toEqual(briefOf(2));
  expect((await opened(worker(), 1, 'run-3')).messages).toEqual(briefOf(3));
});

test('a brief that cannot be read any more is made again', async () => {
  await opened(worker(), 1);
  const briefs = join(folder.dir, 'briefs');
  for (const name of readdirSync(briefs)) writeFileSync(join(briefs, name), '{"version":1,');
  expect((await opened(worker(), 2)).messages).toEqual(briefOf(2));
});
