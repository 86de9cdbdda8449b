import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { refComponent, repositoryKey, TaskId, taskPath, taskRef } from '../../../src/shared/base/ids.ts';

describe('names that cross process boundaries', () => {
  test.each([
    ['https://Example.com/a/b.git', 'example.com/a/b'],
    ['https://example.com:8443/a/b/', 'example.com:8443/a/b'],
    ['ssh://git@example.com/a/b.git/', 'example.com/a/b'],
    ['git@Example.com:a/b.git', 'example.com/a/b'],
    ['https://example.com:443/a/b', 'example.com/a/b'],
    ['http://example.com:80//a///b.git//', 'example.com/a/b'],
    ['http://example.com:443/a/b', 'example.com:443/a/b'],
    ['ssh://git@Example.com:22/a/b.git', 'example.com/a/b'],
    ['ssh://example.com:2222/a/b', 'example.com:2222/a/b'],
    ['ssh://git@example.com/~/a/b', 'example.com/a/b'],
    ['git@example.com:/a/b.git', 'example.com/a/b'],
    ['example.com:~/a/b/', 'example.com/a/b'],
    ['HTTPS://example.com/a%20b/%C3%A4.git', 'example.com/a b/ä'],
    ['git@example.com:a b/ä.git', 'example.com/a b/ä'],
    ['https://example.com/a%2Fb', 'example.com/a%2Fb'],
    ['https://example.com/a%zz', 'example.com/a%zz'],
    ['https://example.com/A/B', 'example.com/A/B'],
    ['https://[2001:DB8::1]:443/a', '[2001:db8::1]/a'],
    ['file:///srv/x.git', '/srv/x.git'],
    ['file:///srv/a%20b/', '/srv/a b'],
    ['/srv/x.git', '/srv/x.git'],
    ['/srv/x/', '/srv/x'],
    ['/', '/'],
  ])('the key of %s is %s', (location, key) => {
    expect(repositoryKey(location)).toBe(key);
  });

  test('a task below a subplanner is one component of a ref', () => {
    expect(taskPath('r', 'r/group.1/alpha.2')).toBe('group.1_alpha.2');
    expect(taskRef('r', 'r/alpha.1')).toBe('refs/agentswarm/runs/r/alpha.1');
  });

  test('a workflow of another run has no path in this one', () => {
    expect(() => taskPath('r', 'other/alpha.1')).toThrow('not below run');
  });

  test('any run id is a component that git accepts, and two run ids never share one', () => {
    const bad = /[\x00-\x20~^:?*[\\\x7f/]|\.\.|@\{|\.lock$|\.$|^\.|^-/;
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'binary' }), fc.string({ minLength: 1, unit: 'binary' }), (a, b) => {
        expect(refComponent(a)).not.toMatch(bad);
        expect(refComponent(a)).not.toBe('');
        if (a !== b && a.length < 60 && b.length < 60) expect(refComponent(a)).not.toBe(refComponent(b));
      }),
      { numRuns: 2_000 },
    );
  });

  test.each(['', '-a', 'A', 'a_b', 'a'.repeat(41), 'a/b', 'a.b', 'ä'])('"%s" is no task id', (id) => {
    expect(TaskId.safeParse(id).success).toBe(false);
  });
});
