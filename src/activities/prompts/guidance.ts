/** What a repository has for whoever works in it. */
import { LRUCache } from 'lru-cache';
import type { CommitSha } from '../../shared/base/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { readText } from '../git/read/commit-files.ts';
import { data } from './text.ts';
import { cutEnd } from '../support/text.ts';

/** Of the repository's own words to whoever works in it; each is cut by itself. */
const GUIDANCE = ['AGENTS.md', 'CLAUDE.md', 'DECISIONS.md'];
const GUIDANCE_BYTES = 20_000;

/** Of each mirror's newest commits that were asked for: a hundred tasks begin at the same one. */
const known = new WeakMap<Mirror, LRUCache<CommitSha, Promise<string[]>>>();
const COMMITS_KNOWN = 8;

/** As a heading and blocks of data; empty where there is none. The same text under a second name is not told twice. */
export function repositoryGuidance(mirror: Mirror, tip: CommitSha): Promise<string[]> {
  const commits = known.get(mirror) ?? new LRUCache<CommitSha, Promise<string[]>>({ max: COMMITS_KNOWN });
  known.set(mirror, commits);
  const found = commits.get(tip);
  if (found !== undefined) return found;
  const reading = readGuidance(mirror, tip);
  commits.set(tip, reading);
  reading.catch(() => commits.delete(tip));
  return reading;
}

async function readGuidance(mirror: Mirror, tip: CommitSha): Promise<string[]> {
  const sections: string[] = [];
  const blocks: string[] = [];
  for (const name of GUIDANCE) {
    const text = (await readText(mirror, tip, name))?.trim() ?? '';
    if (text === '' || sections.includes(text)) continue;
    sections.push(text);
    blocks.push(data(name, cutEnd(text, GUIDANCE_BYTES)));
  }
  return blocks.length === 0 ? [] : ['## How this repository wants to be worked on', ...blocks];
}
