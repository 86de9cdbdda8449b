import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ApplicationFailure } from '@temporalio/common';
import { afterEach, expect, test } from 'vitest';
import { createNotify, webhookOf } from '../../../src/activities/notify/notify.ts';
import type { Notice } from '../../../src/shared/contracts/people.ts';
import { thrownBy } from '../../support/thrown.ts';

const NOTICE: Notice = {
  run: 'r1',
  repo: '/r.git',
  target: 'main',
  approvals: [{ name: 'group/alpha', kind: 'merge', text: 'alpha: Do it', since: 0, reminders: 2 }],
};

let server: Server | undefined;
afterEach(() => server?.close());

type Asked = { path: string | undefined; authorization: string | undefined; body: string };

async function answering(...statuses: number[]): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const listening = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => (body += part));
    request.on('end', () => {
      asked.push({ path: request.url, authorization: request.headers.authorization, body });
      const status = statuses[asked.length - 1] ?? 200;
      response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end('whatever');
    });
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}/hidden-path`, asked };
}

function collected() {
  const lines: string[] = [];
  const line = (fields: object, message: string): void => void lines.push(`${JSON.stringify(fields)} ${message}`);
  return { lines, log: { debug: line, info: line, warn: line, error: line } };
}

test('what waits is in the log, and at the webhook with the words that a chat shows', async () => {
  const { url, asked } = await answering(200);
  const { lines, log } = collected();
  const webhook = webhookOf({ AGENTSWARM_WEBHOOK_URL: url, AGENTSWARM_WEBHOOK_TOKEN: 'the-token' });
  await createNotify({ webhook, log }).notify(NOTICE);
  expect(lines.join('\n')).toContain('agentswarm approve r1 group/alpha');
  expect(asked).toMatchObject([{ path: '/hidden-path', authorization: 'Bearer the-token' }]);
  const body = JSON.parse(asked[0]?.body ?? '') as { text: string };
  expect(body).toMatchObject(NOTICE);
  expect(body.text).toContain('merge group/alpha: alpha: Do it');
  expect(`${lines.join()}${asked[0]?.body}`).not.toContain('the-token');
});

test('without a webhook it is in the log only', async () => {
  const { lines, log } = collected();
  await createNotify({ webhook: webhookOf({}), log }).notify(NOTICE);
  expect(lines).toHaveLength(1);
});

test.each([
  [500, false],
  [429, false],
  [404, true],
  [302, true],
])('an answer of %i fails it, for good: %s; neither path nor token are said', async (status, forGood) => {
  const { url, asked } = await answering(status);
  const webhook = webhookOf({ AGENTSWARM_WEBHOOK_URL: url, AGENTSWARM_WEBHOOK_TOKEN: 'the-token' });
  const error = await thrownBy(createNotify({ webhook, log: collected().log }).notify(NOTICE));
  expect(error instanceof ApplicationFailure && error.nonRetryable === true).toBe(forGood);
  expect(error.message).toContain(`it answered ${status}`);
  expect(error.message).not.toMatch(/hidden-path|the-token/);
  expect(asked).toHaveLength(1);
});

test('a webhook that cannot be reached is tried again', async () => {
  const { url } = await answering();
  await new Promise((resolve) => server?.close(resolve));
  const error = await thrownBy(
    createNotify({ webhook: webhookOf({ AGENTSWARM_WEBHOOK_URL: url }), log: collected().log }).notify(NOTICE),
  );
  expect(error).not.toBeInstanceOf(ApplicationFailure);
  expect(error.message).toMatch(/webhook at 127\.0\.0\.1:\d+ .*ECONNREFUSED/);
});

test.each(['ftp://x/secret', 'not a url secret'])('the URL %s stops the worker, which does not repeat it', (url) => {
  expect(() => webhookOf({ AGENTSWARM_WEBHOOK_URL: url })).toThrow(/^(?!.*secret)AGENTSWARM_WEBHOOK_URL is not a URL/);
});
