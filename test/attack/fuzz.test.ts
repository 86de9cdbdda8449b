import { existsSync } from 'node:fs';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer, type AddressInfo, type Server } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repositoryPath } from '../../src/activities/git/read/commit-files.ts';
import { repositoryOf } from '../../src/host/repository.ts';
import { checkRef } from '../../src/activities/git/names.ts';
import { createGit } from '../../src/activities/git/run-git.ts';
import { runProcess } from '../../src/activities/process/run-process.ts';
import { chooseTarget } from '../../src/activities/run/target.ts';
import { CommitSha, defaultBranch, refComponent, TaskId, taskRef } from '../../src/shared/base/ids.ts';
import { NetworkSetting, RegistryUrl } from '../../src/shared/contracts/network.ts';
import { parseArguments } from '../../src/shared/agent/tools.ts';

const RUNS = 10_000;
const SEED = 20_261_122;

/** Everything that a value passes before it is used, and what holds for one that has passed. */
let started = 0;
let connected = 0;
let accepted = 0;
let listener: Server;
let port: number;
const git = createGit({
  run(argv, options) {
    started += 1;
    return runProcess(argv, options);
  },
});
const onSocket = () => {
  connected += 1;
};

beforeAll(async () => {
  listener = createServer((socket) => {
    connected += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  port = (listener.address() as AddressInfo).port;
  subscribe('net.client.socket', onSocket);
});
afterAll(() => {
  unsubscribe('net.client.socket', onSocket);
  listener.close();
});

/** What means something to git, a shell, a URL, a path or a terminal. */
const pieces = () =>
  fc.oneof(
    fc.constantFrom(
      '--upload-pack=',
      '--output=',
      '-o',
      '-u',
      '--',
      'ext::',
      'fd::',
      'file://',
      'ssh://',
      'https://',
      'http://',
      'git://',
      'git@',
      '@',
      ':',
      '/',
      '//',
      '..',
      '../',
      './',
      '.git',
      '.lock',
      '~',
      '^',
      '@{',
      '{',
      '*',
      '?',
      '[',
      ']',
      '\\',
      ' ',
      '\t',
      '\n',
      '\r',
      '\0',
      '\u001b[2J',
      '\u007f',
      '\u009b',
      '%00',
      '%0a',
      '%2e%2e',
      ';',
      '|',
      '&',
      '$(id)',
      '`id`',
      '"',
      "'",
      '#',
      '?x=1',
      'HEAD',
      'refs/heads/',
      'main',
      'registry.example.com',
      ':443',
      'localhost',
      `127.0.0.1:${port}`,
      '[::1]',
      '0x7f.1',
      '２',
      'ä',
      '\u200b',
      '\ud800',
      '-oProxyCommand=id',
      'user:pass@',
      'a'.repeat(300),
    ),
    fc.string({ maxLength: 8, unit: 'binary' }),
    fc.string({ maxLength: 8 }),
  );
const values = () => fc.array(pieces(), { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''));

const take = <T>(body: () => T): T | undefined => {
  try {
    return body();
  } catch {
    return undefined;
  }
};
function isThere(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return (
    (text.startsWith('/') && existsSync(text)) ||
    (url?.protocol === 'file:' && existsSync(decodeURIComponent(url.pathname)))
  );
}
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/;

test('10,000 refs, URLs, paths and host names through every validator start no process and open no connection', async () => {
  await fc.assert(
    fc.asyncProperty(values(), async (text) => {
      // A folder that is there is looked at by git: a person may name one.
      fc.pre(text !== '' && !isThere(text));
      const location = await repositoryOf(text).catch(() => undefined);
      if (location !== undefined) {
        accepted += 1;
        expect(location.repo.location).not.toMatch(CONTROLS);
        expect(location.repo.location).not.toMatch(/^[\w+.-]+::|^(?:\w+:\/\/)?(?:[^/@:]*@)?-|^(?!ssh:)\w+:\/\/[^/]*@/i);
      }
      const target = take(() =>
        chooseTarget({
          location: { repo: { location: '/x', key: '/x' }, kind: 'bare', checkedOut: [] },
          runId: 'r',
          branch: text,
        }),
      );
      if (target !== undefined) {
        accepted += 1;
        expect(target.target).not.toMatch(/^-|\.\.|[\u0000- ~^:?*[\\\u007f]|@\{|\.lock(\/|$)|\/\/|(^|\/)\.|[./]$/);
      }
      take(() => checkRef(text));
      take(() => checkRef(`refs/heads/${text}`));
      const path = repositoryPath(text);
      if (path.ok) {
        accepted += 1;
        expect(path.path.split('/')).not.toContain('..');
        expect(path.path).not.toContain('\0');
        expect(path.path.startsWith('/')).toBe(false);
      }
      const listed = NetworkSetting.safeParse({ allow: [text] });
      if (listed.success) expect(text).toMatch(/^(?:\*\.)?[^\s*/@:%\\]+(?::\d{1,5})?$/);
      const registry = RegistryUrl.safeParse(text);
      if (registry.success) expect(registry.data).toMatch(/^https:\/\/[^/@?#\s]+\/(?:[^?#\s]*\/)?$/);
      if (TaskId.safeParse(text).success) expect(text).toMatch(/^[a-z0-9][a-z0-9-]*$/);
      if (CommitSha.safeParse(text).success) expect(text).toMatch(/^[0-9a-f]+$/);
      // Whatever a run is called, its refs are names.
      checkRef(`refs/heads/${defaultBranch(text)}`);
      checkRef(`${taskRef(text, `${text}/alpha.1`)}`);
      expect(refComponent(text)).not.toMatch(/[^\w.-]|\.\.|^[.-]|\.$|\.lock$/);
      for (const name of ['read', 'grep', 'find', 'ls', 'log', 'bash', 'write', 'edit'] as const) {
        parseArguments(
          name,
          JSON.stringify({ path: text, pattern: text, command: text, content: text, oldText: text, newText: text }),
        );
        parseArguments(name, text);
      }
    }),
    { numRuns: RUNS, seed: SEED },
  );
  expect({ started, connected }).toEqual({ started: 0, connected: 0 });
  // They are not all refused for one trivial reason.
  expect(accepted).toBeGreaterThan(RUNS / 10);
});

test('the counters see a process and a connection', async () => {
  await git(['--version']);
  await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
  expect(started).toBe(1);
  expect(connected).toBeGreaterThan(0);
});
