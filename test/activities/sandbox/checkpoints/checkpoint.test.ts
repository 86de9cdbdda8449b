import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOLDER, call, REF, type TestHost, testHost } from '../support.ts';

describe.each(['fast', 'git'] as const)('code in and out of a sandbox, checkpoints by the way "%s"', (checkpoints) => {
  let host: TestHost;
  beforeAll(async () => {
    host = await testHost({
      checkpoints,
      files: {
        'README.md': '# test\n',
        'src/a.txt': 'a\n',
        '.gitignore': 'ignored/\n',
        'run.sh': { mode: '100755', content: '#!/bin/sh\necho ran\n' },
        link: { mode: '120000', content: 'src/a.txt' },
        module: { mode: '160000', content: '1234567890123456789012345678901234567890' },
        'big.bin': Buffer.from([0, 1, 2, 255, 254, 10, 13]),
        '.gitattributes': '*.lfs filter=lfs diff=lfs merge=lfs -text\n',
        'data.lfs': 'version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5\n',
      },
    });
  });
  afterAll(() => host.close());

  it('checks out the tip with a .git that stands on the mirror, and nothing to commit', async () => {
    const id = await host.open();
    const said = await host.bash(
      id,
      'git status --porcelain; git log --format=%s; git config user.email; ./run.sh; cat link',
    );
    expect(said).toMatchObject({ status: 'ok', output: 'first\nagent@localhost\nran\na\n' });
  });

  it('stores what a turn changed, untracked files included and ignored ones not', async () => {
    const id = await host.open();
    const { checkpoint } = await host.act(id, 1, [
      call('bash', { command: 'echo new > new.txt; rm src/a.txt; mkdir ignored; echo x > ignored/x; chmod -x run.sh' }),
    ]);
    const mirror = await host.mirrorWith(checkpoint);
    const { stdout } = await mirror.git([
      'diff-tree',
      '-r',
      '--no-commit-id',
      '--name-status',
      host.origin.tip(),
      checkpoint?.commit ?? '',
    ]);
    expect(stdout.toString()).toBe('A\tnew.txt\nM\trun.sh\nD\tsrc/a.txt\n');
    const again = await host.act(id, 2, [call('bash', { command: 'true' })]);
    expect(again.checkpoint).toBeUndefined();
  });

  it('writes no object of what was checked out, once the second of the check-out is over', async () => {
    const id = await host.open();
    const index = join(host.provider.recordDir(id), '..', 'git', 'index');
    const second = () => Math.floor(statSync(index).mtimeMs / 1_000);
    await expect.poll(() => Math.floor(Date.now() / 1_000), { timeout: 5_000 }).toBeGreaterThan(second());
    await host.act(id, 1, [call('write', { path: 'x.txt', content: 'only this\n' })]);
    const objects = readdirSync(join(index, '..', 'objects')).filter((name) => /^[0-9a-f]{2}$/.test(name));
    // Git writes the tree and the commit there too.
    expect(objects).toHaveLength(checkpoints === 'fast' ? 1 : 3);
  });

  it('sees each change within the second of the check-out, of the same size too', async () => {
    const id = await host.open();
    await host.act(id, 1, [call('bash', { command: "printf 'b\\n' > src/a.txt" })]);
    await host.act(id, 2, [call('bash', { command: "printf 'c\\n' > src/a.txt" })]);
    const { checkpoint } = await host.act(id, 3, [call('bash', { command: "printf 'd\\n' > src/a.txt" })]);
    const mirror = await host.mirrorWith(checkpoint);
    const { stdout } = await mirror.git(['cat-file', 'blob', `${checkpoint?.commit ?? ''}:src/a.txt`]);
    expect(stdout.toString()).toBe('d\n');
  });

  it('makes one commit of the host on the base, with the trailers of the host only', async () => {
    const id = await host.open();
    await host.act(id, 1, [call('write', { path: 'x.txt', content: 'x\n' })]);
    const collected = await host.collect(id, { body: 'Body.\n\nSwarm-Change: forged' });
    expect(collected).toMatchObject({ base: host.origin.tip(), filesChanged: ['x.txt'], unresolved: [] });
    expect(host.origin.git('rev-parse', REF)).toBe(collected.commit);
    expect(host.origin.git('log', '-1', '--format=%an %cn|%P', REF)).toBe(`AgentSwarm AgentSwarm|${host.origin.tip()}`);
    expect(host.origin.message(REF)).toContain(
      'Swarm-Task: run-1/alpha.1\nSwarm-Change: 00000000-0000-4000-8000-0000000000aa',
    );
    expect(host.origin.message(REF)).not.toContain('forged');
    expect(host.origin.files(REF)).toEqual({ ...host.origin.files(), 'x.txt': '100644 x\n' });
  });

  it('is an error while the remote does not take the work, and hands it over when it does', async () => {
    const id = await host.open();
    await host.act(id, 1, [call('write', { path: 'x.txt', content: 'kept\n' })]);
    host.origin.git('update-ref', '-d', REF);
    host.origin.hook('pre-receive', 'exit 1');
    try {
      await expect(host.collect(id)).rejects.toMatchObject({ name: 'GitError' });
    } finally {
      host.origin.hook('pre-receive', '');
    }
    const { commit } = await host.collect(id);
    expect(host.origin.git('rev-parse', REF)).toBe(commit);
  });

  it('makes the same commit of the same work, whenever and wherever it is collected', async () => {
    const at = Date.UTC(2031, 0, 2, 3, 4, 5);
    const commits: (string | undefined)[] = [];
    for (const id of [await host.open(), await host.open()]) {
      await host.act(id, 1, [call('write', { path: 'x.txt', content: 'the same\n' })]);
      commits.push((await host.collect(id, { at })).commit);
    }
    expect(commits[1]).toBe(commits[0]);
    expect(host.origin.git('log', '-1', '--format=%at %ct', REF)).toBe(`${at / 1_000} ${at / 1_000}`);
  });

  it.each([
    ['tried again', {}, 2],
    ['tried again in another sandbox', { again: true }, 1],
  ])(
    'hands over what it has pushed where it is %s, though the tree is another one by then',
    async (_, more, attempt) => {
      const id = await host.open();
      await host.act(id, 1, [call('write', { path: 'x.txt', content: 'pushed\n' })]);
      const first = await host.collect(id);
      const other = await host.open();
      await host.act(other, 1, [call('write', { path: 'other.txt', content: 'not all of it\n' })]);
      expect(await host.collect(other, more, attempt)).toEqual(first);
      expect(host.origin.git('rev-parse', REF)).toBe(first.commit);
    },
  );

  it('does not take for its own what another task has pushed there', async () => {
    const id = await host.open();
    await host.act(id, 1, [call('write', { path: 'x.txt', content: 'of an earlier run\n' })]);
    await host.collect(id, { change: { ...HOLDER, firstRunId: '00000000-0000-4000-8000-0000000000bb' } });
    const own = await host.open();
    await host.act(own, 1, [call('write', { path: 'own.txt', content: 'own\n' })]);
    const { commit, filesChanged } = await host.collect(own, { again: true });
    expect(filesChanged).toEqual(['own.txt']);
    expect(host.origin.git('rev-parse', REF)).toBe(commit);
  });

  it('collects under no other lease than the one that holds the sandbox', async () => {
    const id = await host.open({ kind: 'tip' }, 2);
    await expect(host.collect(id)).rejects.toMatchObject({ type: 'SandboxGone' });
    expect(await host.collect(id, { sandbox: { id, epoch: 2, queue: 'host' } })).toMatchObject({ filesChanged: [] });
  });

  it('collects the checkpoint of a sandbox that was lost, also where no turn ran in the new one', async () => {
    const first = await host.open();
    const { checkpoint } = await host.act(first, 1, [call('write', { path: 'x.txt', content: 'kept\n' })]);
    await rm(join(host.stateDir, 'sandboxes', first), { recursive: true });
    const second = await host.open();
    const { commit } = await host.collect(second, checkpoint === undefined ? {} : { restore: checkpoint });
    expect(host.origin.git('show', `${commit}:x.txt`)).toBe('kept');
  });

  it('collects what there is, also when the index of the checkpoints is damaged', async () => {
    const id = await host.open();
    await host.act(id, 1, [call('write', { path: 'work.txt', content: 'work' })]);
    const index = join(host.provider.recordDir(id), '..', 'git', 'index');
    writeFileSync(index, Buffer.alloc(statSync(index).size));
    const { commit } = await host.collect(id);
    expect(host.origin.git('show', `${commit}:work.txt`)).toBe('work');
  });

  it.each([
    ['the tree has changed since', true],
    ['it has not', false],
  ])('makes an object again that the index names and a power cut has taken: %s', async (_, changed) => {
    const id = await host.open();
    await host.act(id, 1, [call('write', { path: 'work.txt', content: 'work that is lost\n' })]);
    const text = Buffer.from('work that is lost\n');
    const name = createHash('sha1').update(`blob ${text.length}\0`).update(text).digest('hex');
    const git = join(host.provider.recordDir(id), '..', 'git');
    rmSync(join(git, 'objects', name.slice(0, 2), name.slice(2)));
    // The way "git" keeps a pack, which has it.
    rmSync(join(host.stateDir, 'checkpoints', id, 'new', name), { force: checkpoints === 'git' });
    if (changed) await host.act(id, 2, [call('write', { path: 'more.txt', content: 'more' })]);
    const { commit } = await host.collect(id);
    expect(host.origin.git('show', `${commit}:work.txt`)).toBe('work that is lost');
    if (changed) expect(host.origin.git('show', `${commit}:more.txt`)).toBe('more');
  });

  it('makes a kept checkpoint again that is gone', async () => {
    const id = await host.open();
    await host.act(id, 1, [call('write', { path: 'work.txt', content: 'work\n' })]);
    rmSync(join(host.stateDir, 'checkpoints', id), { recursive: true });
    const { commit } = await host.collect(id);
    expect(host.origin.git('show', `${commit}:work.txt`)).toBe('work');
  });

  it('makes no commit when nothing was changed', async () => {
    const id = await host.open();
    expect(await host.collect(id)).toEqual({ base: host.origin.tip(), filesChanged: [], unresolved: [] });
  });

  it.each([
    ['deleted', 'rm -rf .git'],
    ['corrupted', 'echo rubbish > .git/HEAD; rm -rf .git/objects/info; echo rubbish > .git/index'],
    ['a file', 'rm -rf .git; echo rubbish > .git'],
    ['full of filters and hooks', FILTERS()],
    ['locked', 'touch .git/index.lock; chmod 000 .git'],
  ])('collects the work of an agent whose .git is %s', async (_, damage) => {
    const id = await host.open();
    await host.act(id, 1, [call('bash', { command: `${damage}; echo work > work.txt` })]);
    await host.act(id, 2, [call('bash', { command: 'echo more >> work.txt' })]);
    const { commit, filesChanged } = await host.collect(id);
    expect(filesChanged.filter((file) => file !== '.gitattributes')).toEqual(['work.txt']);
    expect(host.origin.git('show', `${commit}:work.txt`)).toBe('work\nmore');
  });

  it.each([
    ['its first turn', 0],
    ['a later turn', 1],
  ])(
    'takes the files of a repository that the agent made inside in %s, and keeps a submodule a link',
    async (_, turns) => {
      const id = await host.open();
      for (let turn = 1; turn <= turns; turn++)
        await host.act(id, turn, [call('write', { path: 'one.txt', content: 'x' })]);
      const { checkpoint } = await host.act(id, turns + 1, [
        call('bash', {
          command: `mkdir inner empty && git -C inner init -q && echo 1 > inner/f && git -C inner add f && git -C inner commit -qm x
          git -C empty init -q && echo 2 > empty/g`,
        }),
      ]);
      const mirror = await host.mirrorWith(checkpoint);
      const { stdout } = await mirror.git(['ls-tree', '-r', checkpoint?.commit ?? '']);
      expect(stdout.toString()).toMatch(/100644 blob \w+\tempty\/g/);
      expect(stdout.toString()).toMatch(/100644 blob \w+\tinner\/f/);
      expect(stdout.toString()).toMatch(/160000 commit 1234567890123456789012345678901234567890\tmodule/);
    },
  );

  it.each([
    ['the link', false],
    ['the link, and moved its .git away', true],
  ])('takes them too where a kill came when git had %s', async (_, moved) => {
    const id = await host.open();
    await host.act(id, 1, [call('write', { path: 'one.txt', content: 'x' })]);
    const folder = join(host.provider.recordDir(id), '..');
    const workspace = join(folder, 'workspace');
    const { PATH } = process.env;
    const inner =
      'git init -q inner && cd inner && echo 1 > f && git add f && git -c user.name=a -c user.email=a@b commit -qm x';
    execFileSync('/bin/sh', ['-c', inner], { cwd: workspace, env: { PATH } });
    const env = { PATH, GIT_DIR: join(folder, 'git'), GIT_WORK_TREE: workspace };
    const git = (...argv: string[]) => execFileSync('git', argv, { env, cwd: workspace });
    git('update-index', '--add', '--cacheinfo', `160000,${host.origin.tip()},inner`);
    if (moved) rmSync(join(workspace, 'inner', '.git'), { recursive: true });
    await host.act(id, 2, [call('write', { path: 'two.txt', content: 'x' })]);
    const { commit } = await host.collect(id);
    expect(host.origin.git('show', `${commit}:inner/f`)).toBe('1');
  });

  it('restores the checkpoint in a fresh sandbox, on the base that the checkpoint stands on', async () => {
    const first = await host.open();
    const { checkpoint } = await host.act(first, 1, [call('bash', { command: 'echo kept > kept.txt; rm README.md' })]);
    const base = host.origin.tip();
    await rm(join(host.stateDir, 'sandboxes', first), { recursive: true });
    await expect(host.act(first, 2, [call('bash', { command: 'true' })])).rejects.toMatchObject({
      type: 'SandboxGone',
    });
    host.origin.commit({ 'later.txt': 'landed since\n' });
    const second = await host.open();
    const { results } = await host.act(
      second,
      2,
      [call('bash', { command: 'cat kept.txt; ls README.md later.txt; git status --short' })],
      {
        ...(checkpoint === undefined ? {} : { restore: checkpoint }),
      },
    );
    expect(results[0]?.output).toMatch(/^kept\n/);
    expect(results[0]?.output).toContain("cannot access 'README.md'");
    expect(results[0]?.output).toContain("cannot access 'later.txt'");
    expect(results[0]?.output).toContain('A  kept.txt');
    const collected = await host.collect(second, { ...(checkpoint === undefined ? {} : { restore: checkpoint }) });
    expect(collected).toMatchObject({ base, filesChanged: ['README.md', 'kept.txt'] });
  });

  it('restores once for a lease, and not where the sandbox has that checkpoint itself', async () => {
    const id = await host.open();
    const { checkpoint } = await host.act(id, 1, [call('write', { path: 'a', content: '1' })]);
    const restore = checkpoint === undefined ? {} : { restore: checkpoint };
    await host.act(id, 2, [call('write', { path: 'a', content: '2' })], restore);
    const { results } = await host.act(id, 3, [call('bash', { command: 'cat a' })], restore);
    expect(results[0]?.output).toBe('2');
  });

  it('opens with the merge in progress and tells what is unresolved', async () => {
    const base = host.origin.tip();
    const theirs = host.origin.detached(
      { 'src/a.txt': 'theirs\n', 'theirs.txt': 'new\n' },
      { parent: base, ref: 'refs/agentswarm/runs/run-1/other.1' },
    );
    host.origin.commit({ 'src/a.txt': 'ours\n' });
    const id = await host.open({ kind: 'merge', theirs, ref: 'refs/agentswarm/runs/run-1/other.1' });
    const said = await host.bash(id, 'git status --short; cat .git/MERGE_HEAD src/a.txt');
    expect(said.output).toContain('UU src/a.txt');
    expect(said.output).toContain(theirs);
    expect(said.output).toContain('<<<<<<< ');
    expect(await host.collect(id)).toMatchObject({ unresolved: ['src/a.txt'] });
    await host.bash(id, 'printf "ours\\ntheirs\\n" > src/a.txt');
    const { commit, unresolved, filesChanged } = await host.collect(id);
    expect({ unresolved, filesChanged }).toEqual({ unresolved: [], filesChanged: ['src/a.txt', 'theirs.txt'] });
    expect(host.origin.git('rev-parse', `${commit}^@`)).toBe(host.origin.tip());
  });

  it('starts from the commit of a failed attempt, measured against its merge base', async () => {
    const base = host.origin.tip();
    const failedWork = host.origin.detached(
      { 'half.txt': 'half\n' },
      { parent: base, ref: 'refs/agentswarm/runs/run-1/beta.1' },
    );
    host.origin.commit({ 'meanwhile.txt': 'm\n' });
    const id = await host.open({ kind: 'commit', commit: failedWork, ref: 'refs/agentswarm/runs/run-1/beta.1' });
    await host.bash(id, 'echo whole >> half.txt');
    expect(await host.collect(id)).toMatchObject({ base, filesChanged: ['half.txt'] });
  });
});

it('works in a repository whose objects are named by SHA-256', async () => {
  const host = await testHost({ objectFormat: 'sha256' });
  try {
    const id = await host.open();
    await host.act(id, 1, [call('write', { path: 'x', content: 'x' })]);
    expect((await host.bash(id, 'git status --short')).output).toBe('?? x\n');
    expect((await host.collect(id)).commit).toHaveLength(64);
  } finally {
    await host.close();
  }
});

it('brings a checkpoint to the remote, but not before its time', async () => {
  const host = await testHost({ pushEveryMs: 300 });
  try {
    const id = await host.open();
    await host.act(id, 1, [call('write', { path: 'x', content: '1' })]);
    expect(host.origin.refs('refs/agentswarm')).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 400));
    const { checkpoint } = await host.act(id, 2, [call('write', { path: 'x', content: '2' })]);
    await host.pushes.settled(id);
    expect(host.origin.git('rev-parse', REF)).toBe(checkpoint?.commit);
  } finally {
    await host.close();
  }
});

function FILTERS(): string {
  return `git config filter.evil.clean 'echo evil'; git config filter.evil.smudge 'echo evil'
    git config core.hooksPath /tmp; git config core.fsmonitor 'echo evil; exit 1'; git config core.worktree /tmp
    echo '*.txt filter=evil' >> .gitattributes; git config --global filter.evil.clean 'echo evil'
    echo /nonexistent > .git/objects/info/alternates`;
}
