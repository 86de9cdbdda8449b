import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Mirror } from '../../../src/activities/git/contract.ts';
import { landBatch } from '../../../src/activities/merge-queue/land.ts';
import { failureTypeOf } from '../../../src/shared/base/failures.ts';
import { type GitHttpServer, serveGit } from '../../support/git-http.ts';
import { AUTHOR, batch, mirrorOf, workOn } from '../../support/merges.ts';
import { bareRepository, gitIn, type TestRepository, temporaryFolder } from '../../support/repos.ts';
import { thrownBy } from '../../support/thrown.ts';

const LINES = Array.from({ length: 30 }, (_, i) => `line ${i}\n`);
const text = (changes: Record<number, string> = {}): string => LINES.map((line, i) => changes[i] ?? line).join('');

let folder: ReturnType<typeof temporaryFolder>;
let server: GitHttpServer | undefined;
let remote: TestRepository;
let base: string;
beforeEach(() => {
  folder = temporaryFolder();
  remote = bareRepository(join(folder.dir, 'origin.git'), { 'a.txt': text(), 'b.txt': text(), 'old/c.txt': text() });
  base = remote.tip();
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  folder.remove();
});

const byPath = (): Promise<Mirror> => mirrorOf(folder.dir, remote.dir);
async function byHttp(options: Parameters<typeof serveGit>[1] = {}): Promise<{ mirror: Mirror; http: GitHttpServer }> {
  server = await serveGit(folder.dir, options);
  return { mirror: await mirrorOf(folder.dir, server.url('origin.git')), http: server };
}

describe('what lands', () => {
  test('work lands as one commit of the host, with trailers, on top of what others did meanwhile', async () => {
    const mirror = await byPath();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }), 'new.txt': 'new\n' });
    const other = remote.commit({ 'b.txt': text({ 3: 'person\n' }) }, { message: 'person' });
    const result = await landBatch(mirror, batch(mirror, entry));

    expect(result).toEqual({
      tip: remote.tip(),
      outcomes: [{ id: entry.id, outcome: { kind: 'landed', commit: remote.tip() } }],
      overtaken: 0,
    });
    expect(remote.git('rev-parse', 'main^')).toBe(other);
    expect(remote.git('log', '-1', '--format=%an <%ae> %cn <%ce>', 'main')).toBe(
      `${AUTHOR.name} <${AUTHOR.email}> ${AUTHOR.name} <${AUTHOR.email}>`,
    );
    expect(remote.message()).toBe(
      'alpha\n\nWhat alpha did.\n\nSwarm-Task: run/alpha.1\nSwarm-Change: first-run-of-alpha\n',
    );
    expect(remote.files()['a.txt']).toContain('alpha');
    expect(remote.files()['b.txt']).toContain('person');
  });

  test('a batch lands in order with one push, over HTTP, and its work refs are gone', async () => {
    const { mirror, http } = await byHttp();
    const entries = ['one', 'two', 'three'].map((name, i) =>
      workOn(remote, base, name, { 'a.txt': text({ [i * 10]: `${name}\n` }) }),
    );
    const kept = workOn(remote, base, 'kept', { x: 'x' });
    http.requests.length = 0;
    const result = await landBatch(mirror, batch(mirror, ...entries));
    expect(remote.log()).toEqual(['three', 'two', 'one', 'first']);
    expect(result.outcomes.map(({ outcome }) => outcome.kind)).toEqual(['landed', 'landed', 'landed']);
    expect(remote.refs('refs/agentswarm')).toEqual([kept.ref]);
    // One for the branch, one for the refs.
    expect(
      http.requests.filter(({ line }) => line.startsWith('POST') && line.endsWith('git-receive-pack')).length,
    ).toBe(2);
  });

  test('a change that is enqueued twice lands once, in one batch and in two, also after its ref is gone', async () => {
    const mirror = await byPath();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    const first = await landBatch(mirror, batch(mirror, entry, { ...entry, id: `${entry.requester.firstRunId}/2` }));
    expect(first.outcomes.map(({ outcome }) => outcome)).toEqual([
      { kind: 'landed', commit: remote.tip() },
      { kind: 'landed', commit: remote.tip() },
    ]);
    const landed = remote.tip();
    remote.commit({ 'b.txt': 'later\n' }, { message: 'person' });
    remote.git('gc', '--quiet', '--prune=now');
    const elsewhere = await mirrorOf(join(folder.dir, 'other-host'), remote.dir);
    const again = await landBatch(elsewhere, batch(elsewhere, entry));
    expect(again.outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: landed });
    expect(remote.log()).toEqual(['person', 'alpha', 'first']);
  });

  test('a second run with the same ids and another first run id lands its own change', async () => {
    const mirror = await byPath();
    const one = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'first run\n' }) });
    await landBatch(mirror, batch(mirror, one));
    const two = workOn(
      remote,
      remote.tip(),
      'alpha',
      { 'a.txt': text({ 3: 'second run\n' }) },
      {
        requester: { workflowId: one.requester.workflowId, firstRunId: 'another-first-run' },
      },
    );
    const result = await landBatch(mirror, batch(mirror, two));
    expect(result.outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: remote.tip() });
    expect(remote.log()).toEqual(['alpha', 'alpha', 'first']);
    expect(remote.files()['a.txt']).toContain('second run');
    // As a run has it that was started from an older commit on purpose.
    const three = workOn(
      remote,
      base,
      'alpha',
      { 'b.txt': text({ 3: 'third run\n' }) },
      { requester: { workflowId: one.requester.workflowId, firstRunId: 'a-third-first-run' } },
    );
    await landBatch(mirror, batch(mirror, three));
    expect(remote.log()).toEqual(['alpha', 'alpha', 'alpha', 'first']);
    expect(remote.files()['b.txt']).toContain('third run');
  });

  test('what the branch has already is empty, and nothing is pushed', async () => {
    const mirror = await byPath();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'same\n' }) });
    const tip = remote.commit({ 'a.txt': text({ 3: 'same\n' }) });
    const result = await landBatch(mirror, batch(mirror, entry));
    expect(result).toEqual({ tip, outcomes: [{ id: entry.id, outcome: { kind: 'empty' } }], overtaken: 0 });
    expect(remote.tip()).toBe(tip);
  });

  test('submodules, LFS pointers, modes, symlinks, renames, binary files and odd paths survive; empty commits stay', async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'ab'.repeat(32)}\nsize 12345\n`;
    const binary = Buffer.from(Array.from({ length: 512 }, (_, i) => i % 256));
    const submodule = '1234567890123456789012345678901234567890';
    remote.commit({}, { message: 'an empty commit of a person' });
    const mirror = await byPath();
    const entry = workOn(remote, base, 'odd', {
      'old/c.txt': null,
      'moved/c.txt': text({ 5: 'moved\n' }),
      'run.sh': { mode: '100755', content: '#!/bin/sh\n' },
      link: { mode: '120000', content: 'a.txt' },
      'vendor/lib': { mode: '160000', content: submodule },
      '.gitmodules': '[submodule "lib"]\n\tpath = vendor/lib\n\turl = https://example.org/lib.git\n',
      'big.bin': pointer,
      'image.png': binary,
      'caf\u00e9-latin1': 'not utf-8\n',
      'sp ace\n"quote"': 'x',
      'ünï→.txt': 'utf-8\n',
    });
    // A person goes on in the file that the work renames.
    remote.commit({ 'old/c.txt': text({ 25: 'person\n' }) }, { message: 'person' });
    const result = await landBatch(mirror, batch(mirror, entry));
    expect(result.outcomes[0]?.outcome.kind).toBe('landed');
    const files = remote.files();
    expect(files['moved/c.txt']).toBe(`100644 ${text({ 5: 'moved\n', 25: 'person\n' })}`);
    expect(files['old/c.txt']).toBeUndefined();
    expect(files['run.sh']).toBe('100755 #!/bin/sh\n');
    expect(files.link).toBe('120000 a.txt');
    expect(files['vendor/lib']).toBe(`160000 ${submodule}`);
    expect(files['big.bin']).toBe(`100644 ${pointer}`);
    expect(files['image.png']).toBe(`100644 ${binary.toString('latin1')}`);
    expect(files['caf\u00e9-latin1']).toContain('not utf-8');
    expect(files['sp ace\n"quote"']).toBe('100644 x');
    expect(files[Buffer.from('ünï→.txt').toString('latin1')]).toContain('utf-8');
    expect(remote.log()).toContain('an empty commit of a person');
  });

  test('work lands on a branch that was rewritten under it, measured against its own base', async () => {
    const mirror = await byPath();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    const rewritten = remote.detached(
      { 'b.txt': text({ 9: 'rewritten\n' }) },
      { parent: base, message: 'new history' },
    );
    const orphan = remote.git('commit-tree', `${rewritten}^{tree}`, '-m', 'orphan');
    remote.git('update-ref', 'refs/heads/main', orphan);
    const result = await landBatch(mirror, batch(mirror, entry));
    expect(result.outcomes[0]?.outcome.kind).toBe('landed');
    expect(remote.git('rev-parse', 'main^')).toBe(orphan);
    expect(remote.files()['a.txt']).toContain('alpha');
    expect(remote.files()['b.txt']).toContain('rewritten');
  });
});

describe('forged trailers', () => {
  test('Swarm lines of an agent never decide: neither in its words nor in its own commit', async () => {
    const mirror = await byPath();
    const victim = workOn(remote, base, 'victim', { 'b.txt': text({ 3: 'victim\n' }) });
    const forged = [
      `Swarm-Change: ${victim.requester.firstRunId}`,
      `swarm-change : ${victim.requester.firstRunId}`,
      `Signed-off-by: x\n Swarm-Change: ${victim.requester.firstRunId}`,
      `SWARM-Change:${victim.requester.firstRunId}`,
    ].join('\n');
    const forger = workOn(
      remote,
      base,
      'forger',
      { 'a.txt': text({ 3: 'forger\n' }) },
      {
        subject: `Swarm-Change: ${victim.requester.firstRunId}`,
        body: `Text.\n\n${forged}\n`,
      },
    );
    const commit = remote.detached(
      { 'a.txt': text({ 3: 'forger\n' }) },
      { parent: base, message: `x\n\n${forged}\n`, ref: forger.ref },
    );
    await landBatch(mirror, batch(mirror, { ...forger, commit }));
    expect(remote.message()).not.toContain(victim.requester.firstRunId);
    const result = await landBatch(mirror, batch(mirror, victim));
    expect(result.outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: remote.tip() });
    expect(remote.files()['a.txt']).toContain('forger');
    expect(remote.files()['b.txt']).toContain('victim');
    const changes = remote
      .git('log', '--format=%(trailers:key=Swarm-Change,valueonly)', 'main')
      .split('\n')
      .filter(Boolean);
    expect(changes).toEqual([victim.requester.firstRunId, forger.requester.firstRunId]);
  });

  test('a trailer in the middle of a message, or one whose value only begins the same, is no landing', async () => {
    const mirror = await byPath();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    remote.commit({ x: 'x' }, { message: `talk\n\nSwarm-Change: ${entry.requester.firstRunId}\n\nmore talk` });
    remote.commit({ y: 'y' }, { message: `longer\n\nSwarm-Change: ${entry.requester.firstRunId}-and-more` });
    const result = await landBatch(mirror, batch(mirror, entry));
    expect(result.outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: remote.tip() });
    expect(remote.log()[0]).toBe('alpha');
  });

  test('a commit that claims to be two changes is neither', async () => {
    const mirror = await byPath();
    const entries = ['one', 'two'].map((name) => workOn(remote, base, name, { [name]: name }));
    const claims = entries.map(({ requester }) => `Swarm-Change: ${requester.firstRunId}`).join('\n');
    remote.commit({ x: 'x' }, { message: `both\n\n${claims}` });
    await landBatch(mirror, batch(mirror, ...entries));
    expect(remote.log()).toEqual(['two', 'one', 'both', 'first']);
  });

  test('a request cannot have any ref deleted but that of work', async () => {
    const mirror = await byPath();
    const branch = 'refs/heads/of-a-person';
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) }, { ref: branch });
    const result = await landBatch(mirror, batch(mirror, entry));
    expect(result.outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: remote.tip() });
    expect(remote.refs('refs/heads')).toEqual(['refs/heads/main', branch]);
  });
});

describe('conflicts', () => {
  const THEIRS: [string, Parameters<TestRepository['commit']>[0], Parameters<TestRepository['commit']>[0], string[]][] =
    [
      [
        'both change the same lines',
        { 'a.txt': text({ 3: 'person\n' }) },
        { 'a.txt': text({ 3: 'agent\n' }) },
        ['a.txt'],
      ],
      ['both add the same path', { new: 'person\n' }, { new: 'agent\n' }, ['new']],
      ['they change what we delete', { 'a.txt': text({ 3: 'person\n' }) }, { 'a.txt': null }, ['a.txt']],
      ['we change what they delete', { 'a.txt': null }, { 'a.txt': text({ 3: 'agent\n' }) }, ['a.txt']],
      [
        'both rename it differently',
        { 'a.txt': null, 'person.txt': text() },
        { 'a.txt': null, 'agent.txt': text() },
        ['a.txt', 'agent.txt', 'person.txt'],
      ],
      ['both change a binary file', { bin: Buffer.from([0, 1, 2]) }, { bin: Buffer.from([0, 3, 4]) }, ['bin']],
      ['a file of theirs is a folder of ours', { thing: 'person\n' }, { 'thing/file': 'agent\n' }, ['thing']],
    ];
  test.each(THEIRS)('%s: the files are named, and nothing is pushed', async (_, theirs, ours, files) => {
    const mirror = await byPath();
    const entry = workOn(remote, base, 'alpha', ours);
    const tip = remote.commit(theirs, { message: 'person' });
    const { outcomes, tip: at } = await landBatch(mirror, batch(mirror, entry));
    const outcome = outcomes[0]?.outcome;
    expect(outcome).toMatchObject({ kind: 'conflicted', tip });
    const named = outcome?.kind === 'conflicted' ? outcome.files.map((file) => file.replace(/~.*/, '')).sort() : [];
    expect([...new Set(named)]).toEqual(files);
    expect(at).toBe(tip);
    expect(remote.tip()).toBe(tip);
    expect(remote.refs('refs/agentswarm')).toEqual([entry.ref]);
  });

  test('the entries around a conflict land', async () => {
    const mirror = await byPath();
    const one = workOn(remote, base, 'one', { 'a.txt': text({ 3: 'one\n' }) });
    const two = workOn(remote, base, 'two', { 'a.txt': text({ 3: 'two\n' }) });
    const three = workOn(remote, base, 'three', { 'b.txt': text({ 3: 'three\n' }) });
    const { outcomes } = await landBatch(mirror, batch(mirror, one, two, three));
    expect(outcomes.map(({ outcome }) => outcome.kind)).toEqual(['landed', 'conflicted', 'landed']);
    expect(remote.log()).toEqual(['three', 'one', 'first']);
    const conflict = outcomes[1]?.outcome;
    expect(conflict?.kind === 'conflicted' && conflict.tip).toBe(remote.git('rev-parse', 'main^'));
  });

  test.each([
    ['a tree', ['^{tree}'], true],
    ['a tree, with nothing else new on the branch', ['^{tree}'], false],
    ['a file', [':a.txt'], true],
    ['both', ['^{tree}', ':a.txt'], true],
  ])('a mirror that has lost %s of the work is an error, and filed as nothing else', async (_, lost, person) => {
    const mirror = await byPath();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    await mirror.ensureCommit(entry.commit, entry.ref);
    const objects = lost.map((part) => remote.git('rev-parse', `${entry.commit}${part}`));
    loseObjects(mirror.dir, objects);
    if (person) remote.commit({ 'a.txt': text({ 20: 'person\n' }) }, { message: 'person' });
    const tip = remote.tip();
    await expect(landBatch(mirror, batch(mirror, entry))).rejects.toMatchObject({ name: 'GitError' });
    expect(remote.tip()).toBe(tip);
  });

  test('one request on a base that nobody has is dropped with the reason', async () => {
    const mirror = await byPath();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) }, { base: 'f'.repeat(40) });
    const { outcomes } = await landBatch(mirror, batch(mirror, entry));
    expect(outcomes[0]?.outcome.kind).toBe('dropped');
    expect(remote.tip()).toBe(base);
  });
});

describe('a remote that other people use too', () => {
  test('a push of theirs between our read and ours, three times, loses nothing of anyone', async () => {
    const { mirror, http } = await byHttp();
    const one = workOn(remote, base, 'one', { 'a.txt': text({ 3: 'one\n' }) });
    const two = workOn(remote, base, 'two', { 'b.txt': text({ 3: 'two\n' }) });
    let people = 0;
    http.beforePush = () => {
      if (people < 3) remote.commit({ [`person-${++people}`]: 'x\n' }, { message: `person ${people}` });
    };
    const result = await landBatch(mirror, batch(mirror, one, two));
    expect(result.overtaken).toBe(3);
    expect(remote.log()).toEqual(['two', 'one', 'person 3', 'person 2', 'person 1', 'first']);
    expect(result.tip).toBe(remote.tip());
    expect(result.outcomes.map(({ outcome }) => outcome)).toEqual([
      { kind: 'landed', commit: remote.git('rev-parse', 'main^') },
      { kind: 'landed', commit: remote.tip() },
    ]);
  });

  test('the same by path, by a person who pushes while the remote takes ours', async () => {
    const mirror = await byPath();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    const person = remote.detached({ 'p.txt': 'p\n' }, { parent: base, message: 'person' });
    const marker = join(folder.dir, 'once');
    // Quarantined hooks may not update refs, so the person is outside of the hook's environment.
    remote.hook(
      'pre-receive',
      `[ -e ${marker} ] || { touch ${marker}; env -u GIT_QUARANTINE_PATH -u GIT_DIR git -C ${remote.dir} update-ref refs/heads/main ${person}; }`,
    );
    const result = await landBatch(mirror, batch(mirror, entry));
    expect(result.overtaken).toBe(1);
    expect(remote.log()).toEqual(['alpha', 'person', 'first']);
  });

  test('a conflict with what overtook us is a conflict', async () => {
    const { mirror, http } = await byHttp();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    http.beforePush = () => {
      http.beforePush = null;
      remote.commit({ 'a.txt': text({ 3: 'person\n' }) }, { message: 'person' });
    };
    const result = await landBatch(mirror, batch(mirror, entry));
    expect(result.outcomes[0]?.outcome).toMatchObject({
      kind: 'conflicted',
      files: ['a.txt'],
      conflicts: [{ path: 'a.txt', kind: 'content' }],
      tip: remote.tip(),
    });
    expect(remote.log()).toEqual(['person', 'first']);
  });

  test('who is always faster makes it throw after the tries, with nothing of theirs lost', async () => {
    const { mirror, http } = await byHttp();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    let people = 0;
    http.beforePush = () => void remote.commit({ p: `${++people}\n` }, { message: `person ${people}` });
    await expect(landBatch(mirror, batch(mirror, entry), { maxTries: 3 })).rejects.toThrow(/moved by others each of 3/);
    expect(remote.log()).toEqual(['person 3', 'person 2', 'person 1', 'first']);
  });

  test('someone who pushes on top of our landing at once does not make it less landed', async () => {
    const mirror = await byPath();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    const marker = join(folder.dir, 'once');
    remote.hook(
      'post-receive',
      `[ -e ${marker} ] || { touch ${marker}; git update-ref refs/heads/main $(GIT_AUTHOR_NAME=p GIT_AUTHOR_EMAIL=p GIT_COMMITTER_NAME=p GIT_COMMITTER_EMAIL=p git commit-tree refs/heads/main^{tree} -p refs/heads/main -m person); }`,
    );
    const result = await landBatch(mirror, batch(mirror, entry));
    expect(remote.log()).toEqual(['person', 'alpha', 'first']);
    expect(result.tip).toBe(remote.tip());
    expect(result.outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: remote.git('rev-parse', 'main^') });
  });

  test('a branch that is gone is a terminal error which names it', async () => {
    const mirror = await byPath();
    const entry = workOn(remote, base, 'alpha', { x: 'x' });
    remote.git('update-ref', '-d', 'refs/heads/main');
    const error = await thrownBy(landBatch(mirror, batch(mirror, entry)));
    expect(failureTypeOf(error)).toBe('RepositoryUnusable');
    expect(error.message).toContain('branch main of');
  });
});

describe('a push that goes wrong', () => {
  test('an answer that is lost after the remote took it: the read-back decides, and it lands once', async () => {
    const { mirror, http } = await byHttp();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    http.faults = { drop: 'after' };
    const result = await landBatch(mirror, batch(mirror, entry));
    expect(result.outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: remote.tip() });
    expect(remote.log()).toEqual(['alpha', 'first']);
  });

  test('a connection cut before the remote took it is thrown as retryable, and the next attempt lands', async () => {
    const { mirror, http } = await byHttp();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    http.faults = { drop: 'before' };
    const error = await thrownBy(landBatch(mirror, batch(mirror, entry)));
    expect(error).toMatchObject({ name: 'GitError', kind: 'network' });
    expect(failureTypeOf(error)).toBeUndefined();
    expect(remote.tip()).toBe(base);
    http.faults = {};
    const { outcomes } = await landBatch(mirror, batch(mirror, entry));
    expect(outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: remote.tip() });
    expect(remote.log()).toEqual(['alpha', 'first']);
  });

  test('a remote that says yes and does not have it is an error, and the work is kept', async () => {
    const mirror = await byPath();
    remote.hook('post-receive', `git update-ref refs/heads/main ${base}`);
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    await expect(landBatch(mirror, batch(mirror, entry))).rejects.toThrow(/took .* but the branch read back is/);
    expect(remote.refs('refs/agentswarm')).toEqual([entry.ref]);
    remote.hook('post-receive', '');
    const { outcomes } = await landBatch(mirror, batch(mirror, entry));
    expect(outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: remote.tip() });
  });

  test('a remote that is away while the work is fetched has not lost it: that is tried again', async () => {
    const { mirror, http } = await byHttp();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    let asked = 0;
    http.beforeFetch = (method) => {
      if (method === 'GET') asked++;
      // The first is for the target, the second for the work.
      http.faults = asked === 2 ? { status: { on: 'fetch', code: 503 } } : {};
    };
    await expect(landBatch(mirror, batch(mirror, entry))).rejects.toMatchObject({ name: 'GitError', kind: 'network' });
    const { outcomes } = await landBatch(mirror, batch(mirror, entry));
    expect(outcomes[0]?.outcome).toEqual({ kind: 'landed', commit: remote.tip() });
  });

  test('a cancelled push leaves the branch alone, and the next attempt lands', async () => {
    const { mirror, http } = await byHttp();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    const abort = new AbortController();
    http.beforePush = () => new Promise((resolve) => void (abort.abort(), setTimeout(resolve, 200)));
    http.faults = { drop: 'before' };
    await expect(landBatch(mirror, batch(mirror, entry), { signal: abort.signal })).rejects.toThrow();
    http.faults = {};
    http.beforePush = null;
    expect(remote.tip()).toBe(base);
    expect((await landBatch(mirror, batch(mirror, entry))).outcomes[0]?.outcome.kind).toBe('landed');
  });

  test('a hook that says no: refused in its words, the work is kept, and conflicts stay conflicts', async () => {
    const mirror = await byPath();
    remote.hook('pre-receive', 'grep -q refs/heads/main && { echo "no pushes on Fridays" >&2; exit 1; }; exit 0');
    const one = workOn(remote, base, 'one', { 'a.txt': text({ 3: 'one\n' }) });
    // Conflicts with `one` only, which is not going to be there.
    const two = workOn(remote, base, 'two', { 'a.txt': text({ 3: 'two\n' }) });
    const three = workOn(remote, base, 'three', { 'b.txt': text({ 3: 'three\n' }) });
    const tip = remote.commit({ 'b.txt': text({ 3: 'person\n' }) });
    const result = await landBatch(mirror, batch(mirror, one, two, three));
    expect(result.tip).toBe(tip);
    expect(result.outcomes.map(({ outcome }) => outcome)).toEqual([
      { kind: 'refused', because: 'hook', reason: expect.stringContaining('no pushes on Fridays') },
      { kind: 'refused', because: 'hook', reason: expect.stringContaining('no pushes on Fridays') },
      expect.objectContaining({ kind: 'conflicted', files: ['b.txt'], tip }),
    ]);
    expect(remote.tip()).toBe(tip);
    expect(remote.refs('refs/agentswarm').length).toBe(3);
  });

  test('no right to push over HTTP is refused with the status', async () => {
    const { mirror, http } = await byHttp();
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    http.faults = { status: { on: 'push', code: 403 } };
    const result = await landBatch(mirror, batch(mirror, entry));
    expect(result.outcomes[0]?.outcome).toEqual({
      kind: 'refused',
      because: 'rights',
      reason: expect.stringContaining('403'),
    });
    expect(remote.refs('refs/agentswarm')).toEqual([entry.ref]);
  });

  test('a hook that refuses one change of a batch: the others land, and what is refused is kept on the remote', async () => {
    const mirror = await byPath();
    remote.hook(
      'pre-receive',
      'while read old new ref; do [ $ref != refs/heads/main ] || ! git ls-tree --name-only $new | grep -q secret || { echo "no secrets" >&2; exit 1; }; done',
    );
    const names = ['one', 'two', 'three', 'four', 'five'];
    const entries = names.map((name) => workOn(remote, base, name, { [name === 'four' ? 'secret' : name]: 'x\n' }));
    const { outcomes } = await landBatch(mirror, batch(mirror, ...entries));
    expect(outcomes.map(({ outcome }) => outcome.kind)).toEqual(['landed', 'landed', 'landed', 'refused', 'landed']);
    expect(outcomes[3]?.outcome).toMatchObject({ because: 'content', reason: expect.stringContaining('no secrets') });
    expect(remote.log().slice(0, 4)).toEqual(['five', 'three', 'two', 'one']);
    expect(remote.refs('refs/agentswarm')).toEqual([entries[3]?.ref]);
  });

  test('work refs that cannot be deleted do not make a landing fail', async () => {
    const mirror = await byPath();
    remote.hook('pre-receive', 'grep -q " refs/agentswarm/" && exit 1; exit 0');
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    expect((await landBatch(mirror, batch(mirror, entry))).outcomes[0]?.outcome.kind).toBe('landed');
    expect(remote.refs('refs/agentswarm')).toEqual([entry.ref]);
  });

  test('one request whose commit nobody has is dropped with the reason; the others land', async () => {
    const mirror = await byPath();
    const lost = { ...workOn(remote, base, 'lost', { x: 'x' }), commit: 'e'.repeat(40) };
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    remote.git('update-ref', '-d', lost.ref);
    const result = await landBatch(mirror, batch(mirror, lost, entry));
    expect(result.outcomes.map(({ outcome }) => outcome.kind)).toEqual(['dropped', 'landed']);
  });

  test('one whose ref has other work by now is dropped with what it has; the others land', async () => {
    const mirror = await byPath();
    const moved = workOn(remote, base, 'moved', { x: 'x' });
    const other = remote.detached({ y: 'y' }, { parent: base, ref: moved.ref });
    const entry = workOn(remote, base, 'alpha', { 'a.txt': text({ 3: 'alpha\n' }) });
    const { outcomes } = await landBatch(mirror, batch(mirror, moved, entry));
    expect(outcomes.map(({ outcome }) => outcome)).toEqual([
      { kind: 'dropped', reason: expect.stringContaining(other) },
      { kind: 'landed', commit: remote.tip() },
    ]);
  });
});

/** Unpacks all objects of a repository and deletes some. */
function loseObjects(dir: string, names: string[]): void {
  for (const pack of readdirSync(join(dir, 'objects', 'pack')).filter((name) => name.endsWith('.pack'))) {
    const data = readFileSync(join(dir, 'objects', 'pack', pack));
    for (const end of ['.pack', '.idx', '.rev'])
      rmSync(join(dir, 'objects', 'pack', pack.replace('.pack', end)), { force: true });
    gitIn(dir, ['unpack-objects', '-q'], { input: data });
  }
  for (const name of names) rmSync(join(dir, 'objects', name.slice(0, 2), name.slice(2)));
}
