import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { call, type TestHost, testHost } from './support.ts';

describe('without isolation, where the configuration says so', () => {
  let host: TestHost;
  beforeAll(async () => {
    host = await testHost({ unsafe: true, env: { PATH: '/nonexistent', SECRET_TOKEN: 'canary-91' } });
  });
  afterAll(() => host.close());

  it('tools, checkpoints, restore and collecting work the same, in a clean environment', async () => {
    expect(host.provider.isolated).toBe(false);
    const id = await host.open();
    const { results, checkpoint } = await host.act(id, 1, [
      call('write', { path: '/workspace/new.txt', content: 'new\n' }),
      call('read', { path: 'new.txt' }),
      call('grep', { pattern: 'test', glob: '*.md' }),
      call('bash', { command: 'env; git status --short; pwd' }),
    ]);
    expect(results.map((result) => result.status)).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(results[1]?.output).toBe('     1\tnew');
    expect(results[2]?.output).toBe('README.md:1:# test');
    expect(results[3]?.output).toContain('?? new.txt');
    expect(results[3]?.output).not.toContain('canary-91');
    await host.provider.terminate(id);
    const second = await host.open();
    const restored = await host.act(second, 2, [call('bash', { command: 'cat new.txt' })], { restore: checkpoint });
    expect(restored.results[0]?.output).toBe('new\n');
    expect(await host.collect(second)).toMatchObject({ filesChanged: ['new.txt'] });
  });

  it('a command that ends takes along what it started', async () => {
    const id = await host.open();
    const mark = `64.00${process.pid}`;
    const { output } = await host.bash(id, `sleep ${mark} >/dev/null 2>&1 & echo done`);
    expect(output).toBe('done\n');
    expect((await host.bash(id, `sleep 0.2; ps ax -o args | grep -c "^sleep ${mark}" || true`)).output).toBe('0\n');
  });
});
