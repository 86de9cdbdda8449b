/** Code into sandboxes on Modal and out of them again: check-out, turns, checkpoints, restore, the commit. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { checkOut } from '../../../../src/activities/sandbox/checkpoints/checkout.ts';
import { createSetups } from '../../../../src/activities/sandbox/setup.ts';
import { Setup } from '../../../../src/shared/contracts/run-settings.ts';
import { whyNoContainers } from '../../../support/modal-double/container.ts';
import { call, HOLDER, REF, testHost, type TestHost, type TestHostOptions } from '../support.ts';
import { modalHost, type ModalHost } from './support.ts';

describe.skipIf(whyNoContainers() !== undefined)('code in sandboxes on Modal', () => {
  let modal: ModalHost | undefined;
  let host: TestHost;
  afterEach(async () => {
    await host.close();
    await modal?.close();
  });

  async function start(options: TestHostOptions = {}): Promise<TestHost> {
    modal = await modalHost();
    host = await testHost({ ...options, provider: await modal.provider() });
    return host;
  }
  const text = async (id: string, script: string) =>
    (await host.provider.exec(id, ['/bin/sh', '-c', script], { timeoutMs: 30_000 })).stdout.toString();

  test.each(['sha1', 'sha256'] as const)(
    'brings the tip in, each turn’s work out, and the commit to the remote (%s)',
    async (objectFormat) => {
      const { origin, open, act, collect } = await start({
        objectFormat,
        files: {
          'a.txt': 'a\n',
          'bin/run': { mode: '100755', content: '#!/bin/sh\n' },
          'to-a': { mode: '120000', content: 'a.txt' },
        },
      });
      origin.commit({ 'a.txt': 'newer\n' });
      const id = await open();
      expect(
        await text(id, 'git status --porcelain; git log --format=%s; cat a.txt to-a; stat -c %a bin/run; whoami'),
      ).toBe(`${origin.log()[0]}\nnewer\nnewer\n755\nagent\n`);
      const calls = [
        call('write', { path: 'src/new.txt', content: 'new\n' }),
        call('bash', { command: 'git rm -q to-a; git commit -qam mine; printf "\\0\\377" > bin/data' }),
      ];
      const { results, checkpoint } = await act(id, 1, calls);
      expect(results.map(({ status }) => status)).toEqual(['ok', 'ok']);
      expect(checkpoint?.turn).toBe(1);
      const { commit, filesChanged } = await collect(id);
      expect(filesChanged.toSorted()).toEqual(['bin/data', 'src/new.txt', 'to-a']);
      expect(Object.keys(origin.files(commit))).toEqual(['a.txt', 'bin/data', 'bin/run', 'src/new.txt']);
      expect(origin.git('rev-parse', REF)).toBe(commit);
      expect(origin.git('rev-parse', `${REF}^`)).toBe(origin.tip());
    },
  );

  test('sends the tip alone, whatever is behind it', async () => {
    const { origin, open } = await start();
    for (let i = 0; i < 20; i++) origin.commit({ 'old.bin': Buffer.alloc(50_000, `${i}:${randomUUID()}`) });
    origin.commit({ 'old.bin': null });
    const id = await open();
    const sent = modal?.double
      .requests('TaskExecStdinWrite')
      .reduce((sum, { data }) => sum + (data as Buffer).length, 0);
    expect(sent).toBeLessThan(50_000);
    expect(
      await text(
        id,
        'git rev-list --count HEAD; git fsck 2>&1 | grep -v "^notice"; git rev-parse --is-shallow-repository',
      ),
    ).toBe('1\ntrue\n');
  });

  test('starts from a failed attempt’s commit, measured against where it left the branch', async () => {
    const { origin, open, collect } = await start();
    const base = origin.tip();
    const commit = origin.detached({ 'tried.txt': 'tried\n' }, { parent: base, ref: REF });
    origin.commit({ 'later.txt': 'later\n' });
    const id = await open({ kind: 'commit', commit: commit as never, ref: REF });
    expect(await text(id, 'ls; git rev-list --count HEAD')).toBe('README.md\nsrc\ntried.txt\n2\n');
    await text(id, 'echo more > more.txt');
    const result = await collect(id);
    expect(result.base).toBe(base);
    expect(result.filesChanged.toSorted()).toEqual(['more.txt', 'tried.txt']);
  });

  test('opens with the merge in progress, over histories that have parted', async () => {
    const { origin, open, collect } = await start({ files: { f: '1\n2\n3\n', g: 'g\n' } });
    const theirs = origin.detached({ f: '1\ntheirs\n3\n', new: 'new\n' }, { parent: origin.tip(), ref: REF });
    for (const line of ['x', 'ours']) origin.commit({ f: `1\n${line}\n3\n` });
    const id = await open({ kind: 'merge', theirs: theirs as never, ref: REF });
    expect(await text(id, 'git status --porcelain; git diff --name-only --diff-filter=U')).toBe('UU f\nA  new\nf\n');
    expect((await collect(id)).unresolved).toEqual(['f']);
    await text(id, 'printf "1\\nboth\\n3\\n" > f');
    const { commit, unresolved } = await collect(id);
    expect(unresolved).toEqual([]);
    expect(origin.files(commit)).toMatchObject({ f: '100644 1\nboth\n3\n', new: '100644 new\n' });
  });

  test('makes a lost sandbox anew from its checkpoint, on the base that it stands on, and stores on', async () => {
    const { origin, open, act, collect, provider } = await start();
    const first = await open();
    const { checkpoint } = await act(first, 1, [call('write', { path: 'one.txt', content: 'one\n' })]);
    await modal?.double.end(modal.double.named(first));
    const lost = await act(first, 2, [call('bash', { command: 'true' })]).catch(
      (error: { type?: string }) => error.type,
    );
    expect(lost).toBe('SandboxGone');
    await provider.terminate(first);
    const base = origin.tip();
    for (const name of ['x', 'y']) origin.commit({ [name]: `${name}\n` });
    const second = await open({ kind: 'tip' }, 2);
    const more = {
      sandbox: { id: second, epoch: 2, queue: 'host' },
      ...(checkpoint === undefined ? {} : { restore: checkpoint }),
    };
    const { results, checkpoint: next } = await act(
      second,
      2,
      [call('bash', { command: 'ls; echo two > two.txt; git rev-parse HEAD' })],
      more,
    );
    expect(results[0]?.output).toBe(`README.md\none.txt\nsrc\n${base}\n`);
    expect(next?.turn).toBe(2);
    const work = await collect(second, { sandbox: more.sandbox, ...(next === undefined ? {} : { restore: next }) });
    expect(work).toMatchObject({ base, filesChanged: ['one.txt', 'two.txt'] });
    expect(origin.git('rev-parse', `${work.commit}^`)).toBe(base);
  });

  test('gives every sandbox what setup has made once, and keeps it out of the work', async () => {
    const { provider, mirrors, origin, run, stateDir, log, collect, records } = await start({
      files: { 'package.json': '{}\n', '.gitignore': 'built/\n' },
    });
    const setups = createSetups({ provider, stateDir, log });
    const setup = Setup.parse({
      command: 'mkdir -p deps built && echo dep > deps/d && echo b > built/b && echo h > ~/h',
    });
    const mirror = await mirrors.open(run.repo);
    const [one, again] = await Promise.all(
      [1, 2].map(() => setups.ensure(setup, mirror, origin.tip() as never, new AbortController().signal)),
    );
    expect(again?.folder).toBe(one?.folder);
    expect(log.lines.filter(({ message }) => message === 'setup begins').length).toBe(1);
    if (one === undefined) throw new Error('no result of setup');
    const id = `sb-${randomUUID()}`;
    await provider.create({ id, objects: join(mirror.dir, 'objects') });
    const tip = origin.tip() as never;
    const tree = await checkOut({ provider, mirror, id, start: { base: tip, commit: tip }, exclude: one.exclude });
    await setups.install(one, id, new AbortController().signal);
    expect(await text(id, 'cat deps/d built/b ~/h; stat -c %U deps/d; git status --porcelain')).toBe(
      'dep\nb\nh\nagent\n',
    );
    await records.writeTree(id, tree);
    await records.writeLease(id, {
      ...{ epoch: 1, holder: HOLDER, ancestors: [run.root], repo: run.repo, createdAt: Date.now() },
      state: { kind: 'ready' },
    });
    await text(id, 'echo work > work.txt');
    expect((await collect(id)).filesChanged).toEqual(['work.txt']);
    expect((await provider.list()).filter((each) => each.startsWith('setup-'))).toEqual([]);
  });
});
