import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createConverse } from '../../../src/activities/git/conversation.ts';
import { bareRepository, type TestRepository, temporaryFolder } from '../../support/repos.ts';

let folder: ReturnType<typeof temporaryFolder>;
let remote: TestRepository;
beforeEach(() => {
  folder = temporaryFolder();
  remote = bareRepository(join(folder.dir, 'origin.git'));
});
afterEach(() => folder.remove());

/** A worker's PATH on which long-running git is this script. */
function env(script: string): Record<string, string> {
  writeFileSync(join(folder.dir, 'stdbuf'), `#!/bin/sh\nPATH='${process.env.PATH}'\n${script}\n`);
  chmodSync(join(folder.dir, 'stdbuf'), 0o755);
  return { PATH: folder.dir };
}

function started(converse: ReturnType<typeof createConverse>, argv: string[] = ['merge-tree', '--stdin']) {
  return converse(remote.dir, argv) ?? expect.fail('it was not started');
}

describe('a git that is asked many times', () => {
  test('answers each request before the next one is made, in bytes that are UTF-8', async () => {
    const tip = remote.tip();
    const theirs = remote.detached({ 'Ünï→': 'theirs' }, { parent: tip });
    const ours = remote.detached({ 'Ünï→': 'ours' }, { parent: tip });
    const git = started(createConverse(process.env), ['merge-tree', '--stdin', '--name-only', '--no-messages']);
    git.send(`${tip} ${theirs}`);
    expect([await git.next(), await git.next(), await git.next()]).toEqual([
      '1',
      remote.git('rev-parse', `${theirs}^{tree}`),
      '',
    ]);
    git.send(`${ours} ${theirs}`);
    expect(await git.next()).toBe('0');
    await git.next();
    expect([await git.next(), await git.next()]).toEqual(['Ünï→', '']);
    await git.end();
  });

  test('does not end well with an answer that nobody has read', async () => {
    const git = started(createConverse(process.env));
    git.send(`${remote.tip()} ${remote.tip()}`);
    await expect(git.end()).rejects.toThrow('said more than it was asked: 1');
  });

  test('says what it was asked and what git said when it fails, to whoever waits and to whoever asks after that', async () => {
    const git = started(createConverse(process.env));
    git.send(`${'f'.repeat(40)} ${remote.tip()}`);
    const error =
      /git merge-tree --stdin on .*origin.git ended with code \d+: merge-tree: f+ - not something we can merge/;
    await expect(git.next()).rejects.toThrow(error);
    git.send(`${remote.tip()} ${remote.tip()}`);
    await expect(git.next()).rejects.toThrow(error);
    await expect(git.end()).rejects.toThrow(error);
  });

  test('gets none of the worker’s secrets', async () => {
    const converse = createConverse({
      ...env('printf "%s\\0" "$AGENTSWARM_GIT_TOKEN$(env)"'),
      AGENTSWARM_GIT_TOKEN: 's3cr3t',
    });
    expect(await started(converse).next()).not.toContain('s3cr3t');
  });
});

describe('a git that holds its answers back', () => {
  test('is found out by the first that does not come, is killed, and is not started again', async () => {
    const converse = createConverse(env('echo $$ > pid; exec sleep 100'), 500);
    const git = started(converse);
    git.send(`${remote.tip()} ${remote.tip()}`);
    await expect(git.next()).rejects.toThrow('did not answer for 500 ms');
    await expect(git.end()).rejects.toThrow('did not answer');
    expect(converse(remote.dir, ['merge-tree', '--stdin'])).toBeUndefined();
  });

  test('is not held against it when it is stopped before it was asked anything', async () => {
    const converse = createConverse(process.env);
    started(converse).stop();
    const git = started(converse);
    git.send(`${remote.tip()} ${remote.tip()}`);
    expect(await git.next()).toBe('1');
    git.stop();
  });
});
