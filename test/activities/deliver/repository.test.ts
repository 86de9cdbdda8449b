import { expect, test } from 'vitest';
import { repositoryOn } from '../../../src/activities/deliver/repository.ts';

test.each([
  ['github.com', 'https://github.com/octo/app.git'],
  ['github.com', 'https://GitHub.com/octo/app/'],
  ['github.com', 'git@github.com:octo/app.git'],
  ['github.com', 'github.com:octo/app'],
  ['github.com', 'ssh://git@github.com:22/octo/app.git'],
  ['github.com', 'ssh://git@ssh.github.com:443/octo/app.git'],
  ['git.example.com:8443', 'https://git.example.com:8443/octo/app.git'],
])('on %s, %s is octo/app', (host, location) => {
  expect(repositoryOn(host, location)).toEqual({ owner: 'octo', repo: 'app' });
});

test.each([
  ['github.com', 'https://github.com.evil.example/octo/app.git'],
  ['github.com', 'https://evil.example/github.com/octo/app.git'],
  ['github.com', 'https://github.com/octo'],
  ['github.com', 'https://github.com/octo/app/tree'],
  ['github.com', 'https://github.com/octo/app%2F..%2F..%2Fuser'],
  ['github.com', 'git@gitlab.com:octo/app.git'],
  ['github.com', '/srv/github.com/octo/app.git'],
  ['git.example.com', 'https://git.example.com:8443/octo/app.git'],
])('on %s, %s is none', (host, location) => {
  expect(repositoryOn(host, location)).toBeNull();
});
