import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Mirror } from '../../../src/activities/git/contract.ts';
import { classifyRemoteError, remoteWords } from '../../../src/activities/git/errors.ts';
import { type PushAnswer, pushBranch } from '../../../src/activities/git/push.ts';
import { classifyRefusal } from '../../../src/activities/git/refusals.ts';
import type { PushRefusal } from '../../../src/shared/contracts/merge.ts';
import { type GitHttpFaults, type GitHttpServer, serveGit } from '../../support/git-http.ts';
import { mirrorOf } from '../../support/merges.ts';
import { bareRepository, type TestRepository, temporaryFolder } from '../../support/repos.ts';

const REJECTED =
  '!\tabc:refs/heads/main\t[remote rejected] (pre-receive hook declined)\nerror: failed to push some refs';

/** As the hosts print it (GitHub, GitLab, Gitea, Bitbucket, Gerrit-like and plain git servers). */
const RECORDED: Record<PushRefusal, [string, string][]> = {
  protected: [
    [
      'GitHub, branch protection',
      'remote: error: GH006: Protected branch update failed for refs/heads/main.\nremote: error: Changes must be made through a pull request.\n!\tabc:refs/heads/main\t[remote rejected] (protected branch hook declined)',
    ],
    [
      'GitHub, ruleset',
      'remote: error: GH013: Repository rule violations found for refs/heads/main.\nremote: Review all repository rules at https://github.com/a/b/rules?ref=refs%2Fheads%2Fmain\nremote: \nremote: - Changes must be made through a pull request.\nremote: \n!\tabc:refs/heads/main\t[remote rejected] (push declined due to repository rule violations)',
    ],
    ['GitLab', `remote: GitLab: You are not allowed to push code to protected branches on this project.\n${REJECTED}`],
    ['Gitea', `remote: \nremote: Gitea: Not allowed to push to protected branch main\n${REJECTED}`],
    [
      'Bitbucket',
      `remote: Branch refs/heads/main can only be modified through pull requests.\nremote: Check your branch permissions configuration with the project administrator.\n${REJECTED}`,
    ],
  ],
  rights: [
    [
      'GitHub',
      "remote: Permission to a/b.git denied to someone.\nfatal: unable to access 'https://github.com/a/b.git/': The requested URL returned error: 403",
    ],
    [
      'GitHub, archived',
      "remote: This repository was archived so it is read-only.\nfatal: unable to access 'https://github.com/a/b.git/': The requested URL returned error: 403",
    ],
    [
      'GitLab',
      "remote: You are not allowed to push code to this project.\nfatal: unable to access 'https://gitlab.com/a/b.git/': The requested URL returned error: 403",
    ],
    ['a work tree', '!\tHEAD:refs/heads/main\t[remote rejected] (branch is currently checked out)'],
  ],
  quota: [
    [
      'GitLab, the repository',
      `remote: GitLab: Your push has been rejected, because this repository has exceeded its size limit of 10 GB by 20 MB. Please contact your GitLab administrator for more information.\n${REJECTED}`,
    ],
    [
      'a proxy',
      'error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413\nsend-pack: unexpected disconnect while reading sideband packet\nfatal: the remote end hung up unexpectedly\nEverything up-to-date',
    ],
    [
      'GitHub, the pack',
      'remote: fatal: pack exceeds maximum allowed size (2.00 GiB)\nerror: remote unpack failed: index-pack abnormal exit\n!\tabc:refs/heads/main\t[remote rejected] (unpacker error)',
    ],
    [
      'a full disk',
      'remote: fatal: write error: No space left on device\nerror: remote unpack failed: index-pack abnormal exit\n!\tabc:refs/heads/main\t[remote rejected] (unpacker error)',
    ],
  ],
  content: [
    [
      'GitHub, a large file',
      `remote: error: Trace: 654c8d72f32f9965c4734092a2fb75d3\nremote: error: See https://gh.io/lfs for more information.\nremote: error: File data.zip is 301.74 MB; this exceeds GitHub's file size limit of 100.00 MB\nremote: error: GH001: Large files detected. You may want to try Git Large File Storage - https://git-lfs.github.com/.\n${REJECTED}`,
    ],
    [
      'GitHub, a secret',
      'remote: error: GH013: Repository rule violations found for refs/heads/main.\nremote: \nremote: - GITHUB PUSH PROTECTION\nremote:     - Push cannot contain secrets\n!\tabc:refs/heads/main\t[remote rejected] (push declined due to repository rule violations)',
    ],
    [
      'GitHub, LFS',
      `remote: error: GH008: Your push referenced at least 1 unknown Git LFS object:\nremote:     4d7a2146\n${REJECTED}`,
    ],
    [
      'GitLab, LFS',
      `remote: GitLab: LFS objects are missing. Ensure LFS is properly set up or try a manual "git lfs push --all".\n${REJECTED}`,
    ],
    ['GitLab, push rule', `remote: GitLab: Commit message does not follow the pattern 'JIRA-[0-9]+'\n${REJECTED}`],
    ['GitLab, file name', `remote: GitLab: File name id_rsa was prohibited by the pattern "id_rsa$".\n${REJECTED}`],
    [
      'git, fsck',
      'remote: error: object 1234: missingEmail: invalid author/committer line - missing email\nremote: fatal: fsck error in packed object\nerror: remote unpack failed: index-pack abnormal exit\n!\tabc:refs/heads/main\t[remote rejected] (unpacker error)',
    ],
  ],
  hook: [
    ['one that explains nothing known', `remote: no pushes on Fridays\n${REJECTED}`],
    ['an update hook', '!\tabc:refs/heads/main\t[remote rejected] (hook declined)'],
  ],
  other: [['hidden refs', '!\tabc:refs/x\t[remote rejected] (deny updating a hidden ref)']],
};

describe('recorded refusals', () => {
  for (const [because, samples] of Object.entries(RECORDED)) {
    test.each(samples)(`${because}: %s`, (_, output) => {
      expect(classifyRemoteError(output)).toBe('refused');
      expect(classifyRefusal(output)).toBe(because);
      expect(remoteWords(output)).not.toBe('');
    });
  }
});

describe('a push to a real server', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let http: GitHttpServer;
  let remote: TestRepository;
  let mirror: Mirror;
  let base: string;
  beforeAll(async () => {
    folder = temporaryFolder();
    http = await serveGit(folder.dir);
    remote = bareRepository(join(folder.dir, 'origin.git'));
    base = remote.tip();
    mirror = await mirrorOf(folder.dir, http.url('origin.git'));
    await mirror.fetchBranch('main');
  });
  beforeEach(() => {
    http.faults = {};
    remote.hook('pre-receive', '');
    remote.git('config', '--replace-all', 'receive.maxInputSize', '0');
  });
  afterAll(async () => {
    await http.close();
    folder.remove();
  });

  let count = 0;
  async function push(expected = base): Promise<PushAnswer> {
    const tree = await mirror.treeOf(base);
    const author = { name: 'A', email: 'a@example.org' };
    const next = await mirror.commitTree({ tree, parents: [expected], message: `try ${++count}`, author });
    return pushBranch(mirror, { branch: 'main', expected, next });
  }
  const kindOf = (answer: PushAnswer): string =>
    answer.kind === 'refused' ? answer.because : answer.kind === 'unclear' ? answer.error.kind : answer.kind;

  test.each<[string, GitHttpFaults, string]>([
    ['401', { status: { on: 'push', code: 401 } }, 'credentials'],
    ['403', { status: { on: 'push', code: 403 } }, 'rights'],
    ['404', { status: { on: 'push', code: 404 } }, 'not-found'],
    ['413', { status: { on: 'push', code: 413 } }, 'quota'],
    ['429', { status: { on: 'push', code: 429 } }, 'network'],
    ['500', { status: { on: 'push', code: 500 } }, 'network'],
    ['503', { status: { on: 'push', code: 503 } }, 'network'],
    ['a connection that is cut', { drop: 'before' }, 'network'],
  ])('that answers %s is told apart, and nothing moves', async (_, faults, expected) => {
    http.faults = faults;
    expect(kindOf(await push())).toBe(expected);
    expect(remote.tip()).toBe(base);
  });

  test.each<[string, string, string]>([
    ['nothing', 'exit 1', 'hook'],
    [
      'what GitHub says of a protected branch',
      'echo "error: GH006: Protected branch update failed." >&2; exit 1',
      'protected',
    ],
    ['what GitHub says of a large file', 'echo "error: GH001: Large files detected." >&2; exit 1', 'content'],
    ['that a host cannot be reached', 'echo "fatal: Could not resolve host: policy.local" >&2; exit 1', 'hook'],
    ['that the password was wrong', 'echo "fatal: Authentication failed" >&2; exit 1', 'hook'],
    ['that there is a conflict', 'echo "CONFLICT (content): stale info, non-fast-forward" >&2; exit 1', 'hook'],
  ])('whose hook says %s is a refusal', async (_, script, expected) => {
    remote.hook('pre-receive', script);
    const answer = await push();
    expect([answer.kind, kindOf(answer)]).toEqual(['refused', expected]);
    expect(remote.tip()).toBe(base);
  });

  test('that takes only small packs says so', async () => {
    remote.git('config', '--replace-all', 'receive.maxInputSize', '10');
    expect(kindOf(await push())).toBe('quota');
  });

  test('whose branch has moved is stale, also where its hook would refuse', async () => {
    const moved = remote.commit({ 'new.txt': 'x' });
    remote.hook('pre-receive', 'exit 1');
    expect(kindOf(await push())).toBe('stale');
    expect(remote.tip()).toBe(moved);
  });
});
