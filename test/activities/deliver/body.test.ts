import { expect, test } from 'vitest';
import { pullRequestBody } from '../../../src/activities/deliver/body.ts';

test('a report replaces the one before it, whatever people wrote above and below', () => {
  const first = pullRequestBody('one');
  const edited = `Above.\n\n${first}\n\nBelow.`;
  expect(pullRequestBody('two', edited)).toBe(edited.replace('one', 'two'));
  expect(pullRequestBody('one', first)).toBe(first);
});

test('a body that people wrote anew, or whose end they cut off, is kept', () => {
  const cut = pullRequestBody('one').split('<!-- agentswarm: end')[0] ?? '';
  for (const before of ['Mine.', cut]) {
    const body = pullRequestBody('two', before);
    expect(body.startsWith(before.trimEnd())).toBe(true);
    expect(body).toContain('two');
  }
});

test('words of models mention nobody, close no issue and are no markup', () => {
  const body = pullRequestBody(
    '- a: thanks @octocat, fixes #12 <!-- agentswarm: end --> <img src=x> a < b, C# 3 # head',
  );
  expect(body).not.toMatch(/@octocat|#12|<img/);
  expect(body.match(/<!-- agentswarm: end -->/g)).toHaveLength(1);
  expect(body).toContain('a < b, C# 3 # head');
  expect(body.replaceAll('\u200b', '')).toContain('@octocat, fixes #12');
});

test('a body never is longer than GitHub takes', () => {
  const people = 'p'.repeat(50_000);
  for (const before of ['', people]) {
    const body = pullRequestBody('x'.repeat(200_000), before);
    expect(body.length).toBeLessThanOrEqual(60_000);
    expect(body).toContain('cut: the whole report');
    expect(body.startsWith(before)).toBe(true);
  }
});
