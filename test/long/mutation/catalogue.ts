/** The seeded bugs of `test/long/mutants`: what each breaks, and which tests should notice. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** Where a landing can be cut off. */
const BOUNDARIES = [
  'after fetch',
  'after merge',
  'before push',
  'after push before the answer',
  'after the answer',
] as const;

/** The numbered invariants of the design. */
const INVARIANTS = {
  1: 'history is the memory',
  2: 'paid once',
  3: 'landed means landed',
  4: 'the branch only moves forward',
  5: 'no secrets in sandboxes',
  6: 'hard budgets',
  7: 'fail closed',
  8: 'nothing waits for ever',
  9: 'model output is untrusted',
} as const;
type Invariant = keyof typeof INVARIANTS;

/** What the path from "enqueue" to "landed" carries: no money, and no model is asked. */
const IN_THE_MERGE_PATH: readonly Invariant[] = [1, 3, 4, 5, 7, 8, 9];
const FEWEST_IN_THE_MERGE_PATH = 20;

const Header = z.strictObject({
  /** One sentence: what the patched code does wrong. */
  Bug: z.string().min(10),
  Area: z.enum(['merge path', 'elsewhere']),
  Invariant: z
    .string()
    .regex(/^[1-9]( .*)?$/)
    .transform((text) => Number(text[0]) as Invariant),
  Boundary: z.enum(BOUNDARIES).optional(),
  /** Test files, from the root of the checkout, the likeliest to notice first. */
  Tests: z.string().transform((text) => text.split(/\s+/)),
});

export type Mutant = {
  name: string;
  /** Absolute path of the patch. */
  file: string;
  /** Source files that it changes, from the root. */
  changes: string[];
  tests: string[];
  bug: string;
  area: 'merge path' | 'elsewhere';
  invariant: Invariant;
  boundary?: (typeof BOUNDARIES)[number];
};

/**
 * Reads all patches of a folder, sorted by name. A patch is a header of `Key: value` lines, an empty line, and what
 * `git diff` prints.
 * @throws Error that names the file whose header is wrong, or names tests that are not there.
 */
export function readMutants(folder: string, root: string): Mutant[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.patch'));
  return names.sort().map((name) => readMutant(join(folder, name), root));
}

function readMutant(file: string, root: string): Mutant {
  const text = readFileSync(file, 'utf8');
  const lines = text.slice(0, Math.max(0, text.indexOf('\n\n'))).split('\n');
  const parsed = Header.safeParse(Object.fromEntries(lines.map((line) => line.split(/:\s+(.*)/, 2))));
  if (!parsed.success) throw new Error(`the header of ${file} is wrong:\n${z.prettifyError(parsed.error)}`);
  const { Bug: bug, Area: area, Invariant: invariant, Boundary: boundary, Tests: tests } = parsed.data;
  const changes = [...text.matchAll(/^\+\+\+ b\/(.+)$/gm)].map((match) => match[1] ?? '');
  if (changes.length === 0) throw new Error(`${file} has no diff behind its header`);
  const lost = tests.filter((test) => !existsSync(join(root, test)));
  if (lost.length > 0) throw new Error(`${file} names tests that are not there: ${lost.join(', ')}`);
  const name = file.slice(file.lastIndexOf('/') + 1, -'.patch'.length);
  return { name, file, changes, tests, bug, area, invariant, ...(boundary === undefined ? {} : { boundary }) };
}

/** What the whole set lacks: an invariant or a boundary that nothing breaks, or numbers. Empty when nothing. */
export function gaps(mutants: readonly Mutant[]): string[] {
  const inPath = mutants.filter(({ area }) => area === 'merge path');
  const found: string[] = [];
  if (inPath.length < FEWEST_IN_THE_MERGE_PATH) {
    found.push(`the merge path has ${inPath.length} mutants, fewer than ${FEWEST_IN_THE_MERGE_PATH}`);
  }
  for (const invariant of IN_THE_MERGE_PATH) {
    if (inPath.some((mutant) => mutant.invariant === invariant)) continue;
    found.push(`no mutant of the merge path breaks invariant ${invariant} (${INVARIANTS[invariant]})`);
  }
  for (const boundary of BOUNDARIES) {
    if (!inPath.some((mutant) => mutant.boundary === boundary)) found.push(`no mutant breaks "${boundary}"`);
  }
  return found;
}
