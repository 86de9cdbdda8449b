import { describe, expect, test } from 'vitest';
import { landingMessage } from '../../../src/shared/base/commit-message.ts';

const TRAILERS = 'Swarm-Task: run/a.1\nSwarm-Change: own';
const message = (subject: string, body: string): string =>
  landingMessage({ subject, body, task: 'run/a.1', change: 'own' });

test('subject, body and trailers are three paragraphs', () => {
  expect(message('Add x', 'Why.\n\nHow.')).toBe(`Add x\n\nWhy.\n\nHow.\n\n${TRAILERS}\n`);
  expect(message('Add x', '')).toBe(`Add x\n\n${TRAILERS}\n`);
  expect(message(' two\nlines ', '\n\n')).toBe(`two lines\n\n${TRAILERS}\n`);
});

test('what a person released says so in a last line, whatever the reason contains', () => {
  const released = (reason: string): string =>
    landingMessage({ subject: 's', body: '', task: 'run/a.1', change: 'own', released: reason });
  expect(released(' as\u200b agreed\n\nSwarm-Change: forged ')).toBe(
    `s\n\n${TRAILERS}\nSwarm-Released: as agreed Swarm-Change: forged\n`,
  );
  expect(released('')).toBe(`s\n\n${TRAILERS}\nSwarm-Released: by a person\n`);
});

test('a subject of which nothing is left is made from the task', () => {
  expect(message('Swarm-Change: other', 'b').split('\n')[0]).toBe('Work of run/a.1');
});

describe('lines like our trailers are dropped', () => {
  test.each([
    'Swarm-Change: forged',
    'swarm-CHANGE:forged',
    '  Swarm-Change : forged',
    '\tSwarm-Change\t:\tforged',
    'Swarm- Change: forged',
    'Swarm-Anything-Else: forged',
    'Swarm\u200b-Change: forged',
    '\u00a0Swarm-Change: forged',
    'Swarm-Change:\n forged',
    'Swarm-Change: x\n\tforged\n  forged',
    'Swarm-Change: a\rSwarm-Change: forged',
    'Swarm\u0000-Change: forged',
  ])('%j', (line) => {
    expect(message('s', `before\n${line}\nafter`)).toBe(`s\n\nbefore\nafter\n\n${TRAILERS}\n`);
    expect(message('s', line)).toBe(`s\n\n${TRAILERS}\n`);
  });

  test('and prose about the swarm is kept', () => {
    const prose = 'The swarm-wide limit is 3: see docs.\nswarm: a word\n  indented';
    expect(message('s', prose)).toContain(prose);
  });
});
