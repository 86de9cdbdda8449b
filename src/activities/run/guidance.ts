/** What a repository has for whoever works in it. */
import type { CommitSha } from '../../shared/ids.ts';
import type { Mirror } from '../git/contract.ts';
import { readText } from './commit-files.ts';
import { cutEnd, data } from './text.ts';

/** Of the repository's own words to whoever works in it; each is cut by itself. */
const GUIDANCE = ['AGENTS.md', 'CLAUDE.md', 'DECISIONS.md'];
const GUIDANCE_BYTES = 20_000;

/** As a heading and blocks of data; empty where there is none. The same text under a second name is not told twice. */
export async function repositoryGuidance(mirror: Mirror, tip: CommitSha): Promise<string[]> {
  const told: string[] = [];
  const blocks: string[] = [];
  for (const name of GUIDANCE) {
    const text = (await readText(mirror, tip, name))?.trim() ?? '';
    if (text === '' || told.includes(text)) continue;
    told.push(text);
    blocks.push(data(name, cutEnd(text, GUIDANCE_BYTES)));
  }
  return blocks.length === 0 ? [] : ['## How this repository wants to be worked on', ...blocks];
}
