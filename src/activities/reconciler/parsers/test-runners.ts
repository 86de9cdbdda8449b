/** Test runners: which tests failed, why and where. Pure. */
import { type Finding, findingOf, lookAhead, type Parser } from './finding.ts';

/** A test's name and what it failed with, as one message. */
const failing = (name: string, why: string | undefined): string =>
  [name.trim(), why?.trim() ?? ''].filter((part) => part !== '').join(': ');

/** `test at test/x.test.mjs:4:1` above `✖ subtracts (1.2ms)`: node --test, at the end of its output. */
const nodeSpec: Parser = (outputLines) =>
  outputLines.flatMap((line, i) => {
    const at = /^\s*test at (?<file>.+):(?<line>\d+):(?<column>\d+)$/.exec(line);
    const [, name] = /^\s*✖ (.*?)(?: \([\d.]+ms\))?$/.exec(outputLines[i + 1] ?? '') ?? [];
    if (at === null || name === undefined) return [];
    return [findingOf(at.groups, failing(name, assertion(outputLines, i + 2)))];
  });

/** `AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:`, and `2 !== 1` below it. */
function assertion(outputLines: readonly string[], from: number): string | undefined {
  const [first = '', ...rest] = outputLines.slice(from, from + 5).map((line) => line.trim());
  const compared = rest.find((line) => /^\S.* !== \S/.test(line));
  return compared === undefined ? first : `${first} ${compared}`;
}

/** `not ok 2 - subtracts` with a YAML block below it; suites that only repeat what is below them are left out. */
const tap: Parser = (outputLines) =>
  outputLines.flatMap((line, i): Finding[] => {
    const [, name] = /^\s*not ok \d+(?: - (.*?))?(?: # time=\S+)?$/.exec(line) ?? [];
    if (name === undefined || / # (?:TODO|SKIP)/i.test(line)) return [];
    const block = outputLines.slice(i + 1, i + 40);
    const end = block.findIndex((each) => each.trim() === '...');
    const yaml = block.slice(0, end === -1 ? 0 : end);
    if (yaml.some((each) => each.trim() === "failureType: 'subtestsFailed'")) return [];
    const at = lookAhead(yaml, 0, /^\s*location: '(?<file>.+):(?<line>\d+):(?<column>\d+)'$/);
    const error = yaml.findIndex((each) => each.trim().startsWith('error:'));
    const [, inline = ''] = /error: (?:'(.*)'|"(.*)")$/.exec(yaml[error] ?? '') ?? [];
    const why = inline !== '' ? inline : error === -1 ? undefined : assertion(yaml, error + 1);
    return [findingOf(at?.groups, failing(name, why))];
  });

/** `  ● sums › subtracts`, the reason below it, then `at … (j/x.test.js:1:105)`: jest. */
const jest: Parser = (outputLines) => {
  let suite: string | undefined;
  return outputLines.flatMap((line, i): Finding[] => {
    suite = /^FAIL (\S+)/.exec(line)?.[1] ?? suite;
    const [, name] = /^ {2}● (.*)$/.exec(line) ?? [];
    if (name === undefined || suite === undefined) return [];
    const until = /^(?: {2}● |FAIL |PASS |Test Suites:)/;
    const why = lookAhead(outputLines, i + 1, /^ {4}(\S.*)$/, { until })?.[1];
    const at = lookAhead(
      outputLines,
      i + 1,
      /^ {6}at (?:.*? \()?(?<file>(?!node_modules\/|node:)[^\s()]+):(?<line>\d+):(?<column>\d+)\)?$/,
      {
        until,
      },
    );
    return [{ ...findingOf(at?.groups, failing(name, why)), file: at?.groups?.file ?? suite }];
  });
};

/** ` FAIL  v/x.test.ts > sums > subtracts`, the reason, then ` ❯ v/x.test.ts:3:17`: vitest. */
const vitest: Parser = (outputLines) =>
  outputLines.flatMap((line, i) => {
    const [, file, name] = /^ FAIL {2}(?:\|[^|]+\| )?(\S+?)(?: > (.*)| \[.*\])?$/.exec(line) ?? [];
    if (file === undefined) return [];
    const until = /^ FAIL {2}/;
    const why = lookAhead(outputLines, i + 1, /^(\S.*)$/, { within: 3, until })?.[1];
    const at = lookAhead(outputLines, i + 1, /^ ❯ (?:\S+ )?(?<file>[^\s:]+):(?<line>\d+):(?<column>\d+)$/, { until });
    return [{ ...findingOf(at?.groups, failing(name ?? 'could not be run', why)), file: at?.groups?.file ?? file }];
  });

/** `  1) sums`, `       subtracts:`, the reason, then `at … (m/x.js:2:93)`: mocha, after its counts. */
const mocha: Parser = (outputLines) => {
  const from = outputLines.findIndex((line) => /^ {2}\d+ failing$/.test(line));
  if (from === -1) return [];
  return outputLines.flatMap((line, i) => {
    const [, group] = /^ {2}\d+\) (.*)$/.exec(line) ?? [];
    if (group === undefined || i < from) return [];
    const until = /^ {2}\d+\) /;
    const name = lookAhead(outputLines, i + 1, /^ {7}(\S.*):$/, { until })?.[1] ?? '';
    const why = lookAhead(outputLines, i + 1, /^ {5,6}([A-Z]\w*(?:Error|Exception).*)$/, { until })?.[1];
    const at = lookAhead(
      outputLines,
      i + 1,
      /^ {6}at (?:.*? \()?(?<file>(?!node:|node_modules\/)[^\s()]+):(?<line>\d+):(?<column>\d+)\)?$/,
      {
        until,
      },
    );
    return [findingOf(at?.groups, failing(`${group} ${name}`, why))];
  });
};

/** `FAILED tests/test_a.py::test_add - assert …`, `ERROR tests/test_b.py`, with lines from the report above. */
const pytest: Parser = (outputLines) =>
  outputLines.flatMap((line) => {
    const [, kind, file = '', name, why] =
      /^(FAILED|ERROR) ([^\s:]+\.py)(?:::(\S+(?:\[.*?\])?))?(?: - (.*))?$/.exec(line) ?? [];
    if (kind === undefined) return [];
    const at = name === undefined ? collecting(outputLines, file) : reported(outputLines, name, file);
    return [{ file, line: at.line, message: failing(name ?? 'could not be collected', why ?? at.why) }];
  });

/** Where a test's report says that it failed. */
function reported(outputLines: readonly string[], name: string, file: string): { line?: number; why?: string } {
  const title = name.replaceAll('::', '.').replace(/\[.*$/, '');
  const from = outputLines.findIndex((line) => /^_{3,} /.test(line) && line.includes(title));
  const at = lookAhead(outputLines, from + 1, /^(?<file>[^\s:]+):(?<line>\d+): \S/, {
    within: 200,
    until: /^(?:_{3,} |=)/,
  });
  return from === -1 || at?.groups?.file !== file ? {} : { line: Number(at.groups.line) };
}

function collecting(outputLines: readonly string[], file: string): { line?: number; why?: string } {
  const from = outputLines.findIndex((line) => /^_{3,} ERROR /.test(line) && line.includes(file));
  if (from === -1) return {};
  const until = /^(?:_{3,} |=)/;
  const at = lookAhead(outputLines, from + 1, new RegExp(`(?:^|/)${escaped(file)}(?::|", line )(\\d+)`), {
    within: 200,
    until,
  });
  const why = lookAhead(outputLines, from + 1, /^E\s+(\w*(?:Error|Exception|Warning): .*)$/, { within: 200, until });
  return { ...(at === null ? {} : { line: Number(at[1]) }), ...(why?.[1] === undefined ? {} : { why: why[1] }) };
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** `FAIL: test_add (…)`, the traceback, then `AssertionError: 2 != 3`: unittest. */
const unittest: Parser = (outputLines) =>
  outputLines.flatMap((line, i) => {
    const [, name] = /^(?:FAIL|ERROR): (\S+ \(.*\))$/.exec(line) ?? [];
    if (name === undefined) return [];
    const until = /^={10,}$/;
    const block = outputLines.slice(i + 1).slice(
      0,
      Math.max(
        0,
        outputLines.slice(i + 1).findIndex((each) => until.test(each)),
      ),
    );
    const rest = block.length > 0 ? block : outputLines.slice(i + 1);
    const at = rest
      .map((each) => /^ {2}File "(?<file>[^"]+)", line (?<line>\d+)/.exec(each))
      .findLast((m) => m !== null);
    const why = lookAhead(outputLines, i + 1, /^(\w[\w.]*(?:Error|Exception).*)$/, { until });
    return [findingOf(at?.groups, failing(name, why?.[1]))];
  });

/** `--- FAIL: TestAdd`, with `    x_test.go:7: …` above it (-v) or below it; a panic says where in its trace. */
const goTest: Parser = (outputLines) =>
  outputLines.flatMap((line, i) => {
    const [, name = ''] = /^\s*--- FAIL: (\S+) /.exec(line) ?? [];
    if (name === '') return [];
    const message = /^\s+(?<file>[^\s:]+_test\.go):(?<line>\d+): (?<message>.*)$/;
    const begun = outputLines.slice(0, i).findLastIndex((each) => /^=== (?:RUN|CONT)\s/.test(each));
    const before = begun === -1 ? [] : outputLines.slice(begun, i);
    const at =
      lookAhead(before, 0, message) ?? lookAhead(outputLines, i + 1, message, { until: /^(?:\s*--- |===|FAIL|ok)/ });
    if (at !== null) return [findingOf(at.groups, failing(name, at.groups?.message))];
    const panic = lookAhead(outputLines, i + 1, /^(panic: .*?)(?: \[recovered.*)?$/, { within: 2 })?.[1];
    const where = panic === undefined ? null : lookAhead(outputLines, i + 1, /^\t(?<file>\S+_test\.go):(?<line>\d+) /);
    // A test whose subtests failed says nothing of its own.
    return [findingOf(where?.groups, failing(name, panic))];
  });

/** `thread 'tests::adds' (8977) panicked at src/lib.rs:7:9:`, with the reason below it: cargo test. */
const cargoTest: Parser = (outputLines) =>
  outputLines.flatMap((line, i) => {
    const at = /^thread '(?<name>[^']+)'(?: \(\d+\))? panicked at (?<file>[^\s:]+):(?<line>\d+):(?<column>\d+):$/.exec(
      line,
    );
    if (at === null) return [];
    const values = outputLines.slice(i + 2, i + 4).filter((each) => /^ {1,2}(?:left|right): /.test(each));
    const why = [outputLines[i + 1] ?? '', ...values.map((each) => each.trim())].join(' ');
    return [findingOf(at.groups, failing(at.groups?.name ?? '', why))];
  });

export const TEST_RUNNERS: readonly Parser[] = [
  nodeSpec,
  tap,
  jest,
  vitest,
  mocha,
  pytest,
  unittest,
  goTest,
  cargoTest,
];
