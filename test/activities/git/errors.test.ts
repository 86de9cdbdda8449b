import { describe, expect, test } from 'vitest';
import { classifyRemoteError, GitError, redact, remoteWords } from '../../../src/activities/git/errors.ts';

/** As printed by git 2.39 and the hosts named, copied from real sessions. */
const REAL: Record<string, [string, string][]> = {
  network: [
    [
      'no such host',
      "fatal: unable to access 'https://nowhere.invalid/x.git/': Could not resolve host: nowhere.invalid",
    ],
    [
      'nothing listens',
      "fatal: unable to access 'http://127.0.0.1:1/x/': Failed to connect to 127.0.0.1 port 1 after 0 ms: Couldn't connect to server",
    ],
    ['a server error', "fatal: unable to access 'http://127.0.0.1:3/x/': The requested URL returned error: 503"],
    ['too many requests', "fatal: unable to access 'https://host/x/': The requested URL returned error: 429"],
    [
      'cut while pushing',
      'error: RPC failed; curl 52 Empty reply from server\nsend-pack: unexpected disconnect while reading sideband packet\nfatal: the remote end hung up unexpectedly\nEverything up-to-date',
    ],
    [
      'cut while fetching',
      'error: RPC failed; curl 18 transfer closed with outstanding read data remaining\nfetch-pack: unexpected disconnect while reading sideband packet\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output',
    ],
    [
      'ssh refused',
      'ssh: connect to host example.org port 22: Connection refused\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.',
    ],
    [
      'ssh name',
      'ssh: Could not resolve hostname nowhere.invalid: Name or service not known\nfatal: Could not read from remote repository.',
    ],
    [
      'stalled',
      "fatal: unable to access 'https://host/x/': Operation too slow. Less than 1 bytes/sec transferred the last 120 seconds",
    ],
  ],
  credentials: [
    ['no way to ask', "fatal: could not read Username for 'https://github.com': terminal prompts disabled"],
    [
      'wrong password',
      "remote: Invalid username or password.\nfatal: Authentication failed for 'https://github.com/a/b.git/'",
    ],
    [
      'GitLab',
      "remote: HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect\nfatal: Authentication failed for 'https://gitlab.com/a/b.git/'",
    ],
    ['ssh key', 'git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.'],
    ['ssh host key', 'Host key verification failed.\nfatal: Could not read from remote repository.'],
  ],
  'not-found': [
    ['GitHub over https', "remote: Repository not found.\nfatal: repository 'https://github.com/a/b.git/' not found"],
    ['GitHub over ssh', 'ERROR: Repository not found.\nfatal: Could not read from remote repository.'],
    [
      'a path',
      "fatal: '/nowhere/x.git' does not appear to be a git repository\nfatal: Could not read from remote repository.",
    ],
    ['a branch', "fatal: couldn't find remote ref refs/heads/gone"],
    [
      'GitLab',
      "remote: The project you were looking for could not be found or you don't have permission to view it.\nfatal: Could not read from remote repository.",
    ],
  ],
  refused: [
    [
      'a hook',
      "remote: no pushes on Fridays\nTo /x.git\n!\trefs/heads/main:refs/heads/main\t[remote rejected] (pre-receive hook declined)\nDone\nerror: failed to push some refs to '/x.git'",
    ],
    [
      'a hook that talks about the network',
      'remote: Connection timed out while asking the policy server\n! [remote rejected] main -> main (pre-receive hook declined)',
    ],
    [
      'GitHub, protected',
      'remote: error: GH006: Protected branch update failed for refs/heads/main.\nremote: error: Changes must be made through a pull request.\nTo github.com:a/b.git\n ! [remote rejected] main -> main (protected branch hook declined)',
    ],
    [
      'GitHub, no rights',
      "remote: Permission to a/b.git denied to someone.\nfatal: unable to access 'https://github.com/a/b.git/': The requested URL returned error: 403",
    ],
    [
      'GitHub ssh, no rights',
      'ERROR: Permission to a/b.git denied to someone.\nfatal: Could not read from remote repository.',
    ],
    [
      'GitLab, protected',
      'remote: GitLab: You are not allowed to push code to protected branches on this project.\n ! [remote rejected] main -> main (pre-receive hook declined)',
    ],
    [
      'checked out',
      'remote: error: refusing to update checked out branch: refs/heads/main\n!\tHEAD:refs/heads/main\t[remote rejected] (branch is currently checked out)',
    ],
    ['other owner', "fatal: detected dubious ownership in repository at '/srv/x.git'"],
  ],
  stale: [
    ['a lease', '!\tabc:refs/heads/main\t[rejected] (stale info)\nDone\nerror: failed to push some refs to'],
    ['not a fast-forward', ' ! [rejected]        main -> main (non-fast-forward)'],
    ['fetch first', ' ! [rejected]        main -> main (fetch first)'],
    [
      'a race on the server',
      "remote: error: cannot lock ref 'refs/heads/main': is at 1111111111111111111111111111111111111111 but expected 2222222222222222222222222222222222222222        \n!\tabc:refs/heads/main\t[remote rejected] (failed to update ref)",
    ],
    ['a newer server', '!\tabc:refs/heads/main\t[remote rejected] (incorrect old value provided)'],
    ['made meanwhile', '!\tabc:refs/heads/x\t[remote rejected] (reference already exists)'],
  ],
  other: [
    ['a bad object', 'fatal: bad object 1111111111111111111111111111111111111111'],
    ['nothing', ''],
  ],
};

describe('classifyRemoteError', () => {
  for (const [kind, samples] of Object.entries(REAL)) {
    test.each(samples)(`says ${kind} for: %s`, (_, stderr) => {
      expect(classifyRemoteError(stderr)).toBe(kind);
    });
  }
});

describe('remoteWords', () => {
  test('keeps what the remote said and why it rejected, without the noise', () => {
    const output = REAL.refused?.[0]?.[1] ?? '';
    expect(remoteWords(output)).toBe('no pushes on Fridays\nrejected: (pre-receive hook declined)');
  });

  test('falls back to the whole output when nobody said anything in particular', () => {
    expect(remoteWords('  something odd  ')).toBe('something odd');
  });
});

describe('redact', () => {
  test('takes user-info, authorization headers and known secrets out', () => {
    const text = 'https://bob:hunter22@host/x Authorization: Basic Ym9iOmh1bnRlcjIy tok-12345';
    const clean = redact(text, ['tok-12345']);
    expect(clean).not.toMatch(/hunter22|Ym9i|tok-12345/);
    expect(clean).toContain('host/x');
  });

  test('leaves an ssh location without a password readable', () => {
    expect(redact('git@host:a/b.git')).toBe('git@host:a/b.git');
  });
});

test('a GitError names the command, the repository, the code and what git said', () => {
  const error = new GitError({ argv: ['fetch', '--', '/x.git'], on: '/x.git', code: 128, output: 'fatal: early EOF' });
  expect(error.message).toBe('git fetch -- /x.git on /x.git ended with code 128: fatal: early EOF');
  expect(error.kind).toBe('network');
});
