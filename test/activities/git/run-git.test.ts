import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GitError } from '../../../src/activities/git/errors.ts';
import { createGit } from '../../../src/activities/git/run-git.ts';
import { type GitHttpServer, serveGit } from '../../support/git-http.ts';
import { bareRepository, temporaryFolder } from '../../support/repos.ts';
import { thrownBy } from '../../support/thrown.ts';

const TOKEN = 'canary-tok3n-91827364';

let folder: ReturnType<typeof temporaryFolder>;
let server: GitHttpServer | undefined;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  folder.remove();
});

/** A git that writes down its arguments and environment, then is the real one. */
function recordingGit(): { path: string; argv: () => string; env: () => string } {
  const script = join(folder.dir, 'git');
  const argv = join(folder.dir, 'argv');
  const env = join(folder.dir, 'env');
  const real = `PATH="${process.env.PATH}" exec git "$@"`;
  // cat of /proc/self/cmdline would be cat's own; "$@" is what a look at the process list shows of git.
  writeFileSync(script, `#!/bin/sh\nprintf '%s\\n' "$@" >> ${argv}\nenv >> ${env}\n${real}\n`);
  chmodSync(script, 0o755);
  return {
    path: `${folder.dir}:/usr/bin:/bin`,
    argv: () => readFileSync(argv, 'utf8'),
    env: () => readFileSync(env, 'utf8'),
  };
}

describe('the environment of git', () => {
  test('has none of the worker’s secrets, and the user’s configuration for remotes only', async () => {
    const recorder = recordingGit();
    const git = createGit({
      env: { PATH: recorder.path, HOME: folder.dir, OPENAI_API_KEY: 'canary-llm', GIT_DIR: '/evil', GIT_TRACE: '1' },
    });
    const remote = bareRepository(join(folder.dir, 'x.git')).dir;
    await git(['version']);
    expect(recorder.env()).not.toMatch(/canary-llm|\/evil|GIT_TRACE/);
    expect(recorder.env()).toContain('GIT_CONFIG_GLOBAL=/dev/null');
    writeFileSync(join(folder.dir, 'env'), '');
    await git(['ls-remote', '--', remote], { remote });
    expect(recorder.env()).not.toMatch(/canary-llm|GIT_CONFIG_GLOBAL|GIT_CONFIG_NOSYSTEM/);
  });

  test('a token logs in, and is in no argument, no error and not in the environment of local commands', async () => {
    server = await serveGit(folder.dir, { auth: { user: 'x-access-token', password: TOKEN } });
    bareRepository(join(folder.dir, 'x.git'));
    const recorder = recordingGit();
    const git = createGit({ env: { PATH: recorder.path, HOME: folder.dir, AGENTSWARM_GIT_TOKEN: TOKEN } });
    const remote = server.url('x.git');
    const { stdout } = await git(['ls-remote', '--', remote], { remote });
    expect(stdout.toString()).toContain('refs/heads/main');

    // That the search can find it: the environment of this one command has it, as a header.
    const encoded = Buffer.from(`x-access-token:${TOKEN}`).toString('base64');
    expect(recorder.env()).toContain(encoded);
    expect(recorder.argv()).not.toContain(TOKEN);
    expect(recorder.argv()).not.toContain(encoded);
    writeFileSync(join(folder.dir, 'env'), '');
    await git(['version']);
    expect(recorder.env()).toContain('PATH=');
    for (const form of [encoded, TOKEN]) expect(recorder.env()).not.toContain(form);

    const failed = await thrownBy(git(['ls-remote', '--', server.url(`${TOKEN}.git`)], { remote: server.url(TOKEN) }));
    expect(failed).toBeInstanceOf(GitError);
    expect(JSON.stringify([failed.message, failed.stack, failed.argv, failed.output])).not.toContain(TOKEN);
    expect(failed.message).toContain('***');
  });

  test.each([
    ['a host that is not listed', { AGENTSWARM_GIT_TOKEN_HOSTS: 'git.example.org' }],
    ['anyone when tokens are not enabled', {}],
  ])('a token is not sent to %s', async (_, extra) => {
    server = await serveGit(folder.dir);
    bareRepository(join(folder.dir, 'x.git'));
    const env = { PATH: process.env.PATH, HOME: folder.dir, AGENTSWARM_GIT_TOKEN: TOKEN, ...extra };
    const git = createGit({ env, credentials: { token: 'AGENTSWARM_GIT_TOKEN_HOSTS' in extra } });
    await git(['ls-remote', '--', server.url('x.git')], { remote: server.url('x.git') });
    expect(server.requests.length).toBeGreaterThan(0);
    expect(server.requests.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
  });

  test('a remote that wants a login gets an answer at once, not a prompt', async () => {
    server = await serveGit(folder.dir, { auth: { user: 'a', password: 'b' } });
    bareRepository(join(folder.dir, 'x.git'));
    const git = createGit({ env: { PATH: process.env.PATH, HOME: folder.dir } });
    const remote = server.url('x.git');
    const error = await thrownBy(git(['ls-remote', '--', remote], { remote }));
    expect(error).toBeInstanceOf(GitError);
    expect(error.kind).toBe('credentials');
  });

  test('a credential helper of the user logs in, unless helpers are off', async () => {
    server = await serveGit(folder.dir, { auth: { user: 'me', password: 'mine' } });
    bareRepository(join(folder.dir, 'x.git'));
    const helper = '!f() { echo username=me; echo password=mine; }; f';
    writeFileSync(join(folder.dir, '.gitconfig'), `[credential]\n\thelper = "${helper}"\n`);
    const env = { PATH: process.env.PATH, HOME: folder.dir };
    const remote = server.url('x.git');
    const on = await createGit({ env })(['ls-remote', '--', remote], { remote });
    expect(on.stdout.toString()).toContain('refs/heads/main');
    const off = createGit({ env, credentials: { helper: false } });
    await expect(off(['ls-remote', '--', remote], { remote })).rejects.toMatchObject({ kind: 'credentials' });
  });

  test('transport helpers and hooks do not run', async () => {
    const proof = join(folder.dir, 'proof');
    const git = createGit({ env: { PATH: process.env.PATH, HOME: folder.dir } });
    const remote = `ext::sh -c "touch ${proof}"`;
    await expect(git(['ls-remote', '--', remote], { remote })).rejects.toThrow(/transport 'ext' not allowed/);
    const { dir } = bareRepository(join(folder.dir, 'x.git'));
    writeFileSync(join(dir, 'hooks', 'reference-transaction'), `#!/bin/sh\ntouch ${proof}\n`);
    chmodSync(join(dir, 'hooks', 'reference-transaction'), 0o755);
    await git(['update-ref', 'refs/heads/other', 'refs/heads/main'], { gitDir: dir });
    expect(existsSync(proof)).toBe(false);
  });
});

describe('the end of git', () => {
  test('a remote that hangs is given up at the deadline, with its helper processes', async () => {
    server = await serveGit(folder.dir);
    server.faults = { hang: 'fetch' };
    const git = createGit({ env: { PATH: process.env.PATH, HOME: folder.dir } });
    const remote = server.url('x.git');
    const startedAt = Date.now();
    const running = git(['ls-remote', '--', remote], { remote, timeoutMs: 400 });
    await expect(running).rejects.toThrow('was ended after 400 ms without an answer');
    expect(Date.now() - startedAt).toBeLessThan(3_000);
    await sleep(100);
    expect(processesNaming(remote)).toEqual([]);
  });

  test('an abort ends it and says so', async () => {
    server = await serveGit(folder.dir);
    server.faults = { hang: 'fetch' };
    const git = createGit({ env: { PATH: process.env.PATH, HOME: folder.dir } });
    const remote = server.url('y.git');
    const abort = new AbortController();
    const running = git(['ls-remote', '--', remote], { remote, signal: abort.signal });
    await sleep(200);
    expect(processesNaming(remote).length).toBeGreaterThan(0);
    abort.abort();
    await expect(running).rejects.toThrow('was cancelled');
    await sleep(100);
    expect(processesNaming(remote)).toEqual([]);
    await expect(git(['version'], { signal: abort.signal })).rejects.toThrow('cancelled before it started');
  });

  test('without git the message says that it could not be started', async () => {
    const git = createGit({ env: { PATH: '/nonexistent' } });
    await expect(git(['version'])).rejects.toThrow(/git version on no repository could not be started/);
  });

  test('an exit code is an answer only where it was asked for', async () => {
    const { dir } = bareRepository(join(folder.dir, 'x.git'));
    const git = createGit();
    const argv = ['rev-parse', '--verify', '--quiet', 'refs/heads/nope'];
    expect((await git(argv, { gitDir: dir, ok: [0, 1] })).code).toBe(1);
    await expect(git(argv, { gitDir: dir })).rejects.toMatchObject({ code: 1, on: dir });
  });
});

/** Command lines of living processes that contain a text. */
function processesNaming(text: string): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return line.includes(text) ? [line] : [];
    } catch {
      return [];
    }
  });
}
