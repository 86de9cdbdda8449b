/** How many tests ran, as a runner's own summary says. Pure. */
import type { TestCounts } from '../../../shared/contracts/checks.ts';

type Counter = (output: string) => TestCounts | null;

const number = (text: string | undefined): number => Number(text ?? 0);

/** `ℹ tests 5`, `# pass 1`: node --test, spec or TAP. */
const node: Counter = (output) => {
  const of = (name: string) => new RegExp(`^(?:ℹ|#) ${name} (\\d+)$`, 'm').exec(output)?.[1];
  if (of('tests') === undefined || of('pass') === undefined) return null;
  const failed = number(of('fail')) + number(of('cancelled'));
  return { run: number(of('pass')) + failed, failed, skipped: number(of('skipped')) + number(of('todo')) };
};

/** `Tests:       2 failed, 1 skipped, 1 passed, 4 total`. */
const jest: Counter = (output) => fromParts(/^Tests: +(.*, \d+ total)$/m.exec(output)?.[1]);

/** `      Tests  2 failed | 1 passed | 1 skipped (4)`. */
const vitest: Counter = (output) => fromParts(/^ +Tests {2}(.*) \(\d+\)$/m.exec(output)?.[1]);

/** `2 failed, 1 passed, 1 skipped in 0.02s`, between `=` or not. */
const pytest: Counter = (output) => fromParts(/^(?:=+ )?((?:\d+ \w+(?:, )?)+) in [\d.]+s(?: .*)?$/m.exec(output)?.[1]);

const SKIPPED = ['skipped', 'todo', 'pending', 'xfailed', 'deselected', 'ignored'];
const FAILED = ['failed', 'error', 'errors'];

function fromParts(text: string | undefined): TestCounts | null {
  if (text === undefined) return null;
  const counts = { run: 0, failed: 0, skipped: 0 };
  for (const [, count, name = ''] of text.matchAll(/(\d+) (\w+)/g)) {
    if (SKIPPED.includes(name)) counts.skipped += number(count);
    if (FAILED.includes(name)) counts.failed += number(count);
    if (FAILED.includes(name) || name === 'passed' || name === 'xpassed') counts.run += number(count);
  }
  return counts;
}

/** `  1 passing (4ms)`, `  1 pending`, `  2 failing`. */
const mocha: Counter = (output) => {
  const of = (name: string) => new RegExp(`^ {2}(\\d+) ${name}(?: \\(.*\\))?$`, 'm').exec(output)?.[1];
  if (of('passing') === undefined) return null;
  return {
    run: number(of('passing')) + number(of('failing')),
    failed: number(of('failing')),
    skipped: number(of('pending')),
  };
};

/** `Ran 4 tests in 0.001s`, then `FAILED (failures=1, errors=1, skipped=1)`. */
const unittest: Counter = (output) => {
  const ran = /^Ran (\d+) tests? in /m.exec(output)?.[1];
  if (ran === undefined) return null;
  const of = (name: string) => number(new RegExp(`^(?:OK|FAILED) \\(.*\\b${name}=(\\d+)`, 'm').exec(output)?.[1]);
  const skipped = of('skipped');
  return { run: number(ran) - skipped, failed: of('failures') + of('errors'), skipped };
};

/** One line for each: `--- PASS: TestOk (0.00s)`; only with -v. */
const go: Counter = (output) => {
  const of = (how: string) => output.match(new RegExp(`^--- ${how}: `, 'gm'))?.length ?? 0;
  if (!/^=== RUN /m.test(output)) return null;
  return { run: of('PASS') + of('FAIL'), failed: of('FAIL'), skipped: of('SKIP') };
};

/** `test result: FAILED. 1 passed; 1 failed; 1 ignored; …`, once for each crate. */
const cargo: Counter = (output) => {
  const results = [...output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/gm)];
  if (results.length === 0) return null;
  const sum = (at: number) => results.reduce((all, match) => all + number(match[at]), 0);
  return { run: sum(1) + sum(2), failed: sum(2), skipped: sum(3) };
};

/** The sum of all runners whose summary is in the output; absent where none is known. */
export function countTests(output: string): TestCounts | undefined {
  const counted = [node, jest, vitest, pytest, mocha, unittest, go, cargo].flatMap((counter) => counter(output) ?? []);
  if (counted.length === 0) return undefined;
  return counted.reduce((a, b) => ({
    run: a.run + b.run,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  }));
}
