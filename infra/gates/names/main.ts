/** `node infra/gates/names/main.ts`: names and rooms of `src` as docs/words.md and AGENTS.md have them; ends with 1 when one is not. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { exportedTwice, forbiddenWords, importCircles, roomsAgainstTree } from './rules.ts';
import { readSources } from './source.ts';
import { forbiddenIn, WIRE_NAMES } from './words.ts';

const ROOT = dirname(dirname(dirname(import.meta.dirname)));
const sources = readSources(ROOT, 'src');
const violations = [
  // The SDK finds the interceptors of a workflow module by this name.
  ...exportedTwice(sources, new Set(['interceptors'])),
  ...forbiddenWords(sources, forbiddenIn(readFileSync(join(ROOT, 'docs', 'words.md'), 'utf8')), WIRE_NAMES),
  ...importCircles(sources),
  ...roomsAgainstTree(readFileSync(join(ROOT, 'AGENTS.md'), 'utf8'), sources),
];
for (const violation of violations) console.error(violation);
console.error(`${sources.length} files, ${violations.length} violations`);
process.exitCode = violations.length === 0 ? 0 : 1;
