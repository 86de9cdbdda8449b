/**
 * The tamper guard: what of a change makes tests and checks weaker, read from its diff. Pure.
 *
 * Counts of added lines less removed ones, over all files together, so that a test which is moved or renamed is none
 * that is lost. It knows the common forms of tests; what it does not know it does not see.
 */

import { codeLines, countTests, type WholeFile } from './tamper-tests.ts';

/** A unified diff's lines of one file; `whole` where its context is all of the file. */
export type FileDiff = { path: string; deleted: boolean; added: string[]; removed: string[]; whole?: WholeFile };

export type TamperRules = {
  /** Of a fix: any change of a check's own command counts, and so does each new suppression of a finding. */
  strict: boolean;
};

const TEST_PATH =
  /(?:^|\/)(?:tests?|__tests__|spec|e2e)\/|\.(?:test|spec)\.[cm]?[jt]sx?$|_test\.(?:go|py|rb)$|(?:^|\/)test_[^/]+\.py$|_spec\.rb$/;
const CONFIG_PATH =
  /(?:^|\/)(?:package\.json|Makefile|tsconfig[^/]*\.json|agentswarm\.json|pyproject\.toml|setup\.cfg|tox\.ini|pytest\.ini|\.coveragerc|codecov\.ya?ml|\.nycrc[^/]*|Cargo\.toml|\.golangci\.ya?ml|(?:vitest|vite|jest|karma|playwright|eslint|biome|\.eslintrc)[^/]*\.(?:[cm]?[jt]s|jsonc?|ya?ml))$/;
const SOURCE_PATH = /\.(?:[cm]?[jt]sx?|py|go|rs|java|kt|rb|c|cc|cpp|h|hpp|cs|swift)$/;

/** Whether tests may be declared there (Rust has them among its source): of these the guard wants the whole text. */
export const mayHaveTests = (path: string): boolean => TEST_PATH.test(path) || path.endsWith('.rs');

/** Whether a changed file is worth a look. */
export const isGuarded = (path: string, { strict }: TamperRules): boolean =>
  TEST_PATH.test(path) || CONFIG_PATH.test(path) || SOURCE_PATH.test(path) || (strict && /\.sh$/.test(path));

const SKIPPED =
  /\b(?:it|test|describe|suite|context)\.(?:skip|todo|only|skipIf)\b|(?:^|[^.\w])x(?:it|describe|test)\s*\(|@pytest\.mark\.(?:skip|xfail)|@unittest\.(?:skip|expectedFailure)|\bpytest\.skip\(|\bself\.skipTest\(|\bt\.Skip(?:f|Now)?\(|#\[ignore\b|^\s*@(?:Ignore|Disabled)\b|[{,]\s*(?:skip|todo):\s*(?:true|['"])/;
const SUPPRESSED =
  /@ts-(?:ignore|nocheck|expect-error)|eslint-disable|biome-ignore|#\s*type:\s*ignore|#\s*noqa|#!?\[allow\(|\/\/\s*nolint|pylint:\s*disable|istanbul ignore|c8 ignore|pragma: no cover/;

/** Numbers that a check must reach (coverage), and numbers that it must not pass (warnings). */
const FLOOR =
  /["']?\b(branches|functions|lines|statements|coverage|threshold|fail[_-]under|min[_-]?coverage)["']?\s*[:=]\s*(\d+(?:\.\d+)?)/gi;
const CEILING = /(max-?warnings|maxWarnings|max_errors)["']?[\s:=]+(\d+(?:\.\d+)?)/gi;
/** Options that make a type checker or a runner see less when they are turned. */
const STRICT_OPTION =
  /["']?\b(strict\w*|no(?:Implicit|Unchecked|Unused)\w+|exactOptionalPropertyTypes|warnings_as_errors|xfail_strict|bail)["']?\s*[:=]\s*(true|false)/g;
const LOOSE_OPTION =
  /\b(passWithNoTests|skipLibCheck|allowOnly|ignore_errors|continue-on-error)["']?\s*[:=]\s*true|--(?:passWithNoTests|pass-with-no-tests|if-present)\b/;

const SCRIPT =
  /^\s*"((?:[\w-]+:)?(?:test|tests|check|typecheck|type-check|types|tsc|lint|build|compile|verify|ci)(?::[\w-]+)?)"\s*:\s*"((?:[^"\\]|\\.)*)"/;
/** A command that cannot fail, or not for what it runs. */
const TOOTHLESS =
  /^\s*(?:true|:|exit 0|echo\b[^&|;]*)?\s*$|\|\|\s*(?:true|:|exit 0|echo)\b|;\s*(?:true|exit 0)\s*$|--passWithNoTests/;

/** @returns one sentence for each thing that is weaker than before; empty where nothing is. */
export function tamperEvidence(files: readonly FileDiff[], rules: TamperRules): string[] {
  const evidence: string[] = [];
  const tests = files.filter(({ path }) => mayHaveTests(path));
  const counted = tests.map((file) => ({ file, ...countTests(file.whole ?? linesOf(file)) }));
  const fewer = counted.reduce((sum, { before, after }) => sum + before.declared - after.declared, 0);
  if (fewer > 0)
    evidence.push(
      `${fewer} fewer test${fewer === 1 ? ' is' : 's are'} declared (${named(counted.filter(({ before, after }) => before.declared > after.declared))})`,
    );
  evidence.push(...hollow(counted, fewer), ...emptied(tests));
  const skips = net(tests, SKIPPED);
  if (skips > 0)
    evidence.push(
      `${skips} more test${skips === 1 ? ' is' : 's are'} skipped or left out (${where(tests, 'added', SKIPPED)})`,
    );
  for (const file of files.filter(({ path }) => CONFIG_PATH.test(path)))
    evidence.push(...loosened(file), ...scripts(file, rules));
  if (rules.strict) {
    const source = files.filter(({ path }) => SOURCE_PATH.test(path));
    const more = net(source, SUPPRESSED);
    if (more > 0)
      evidence.push(
        `${more} more finding${more === 1 ? ' is' : 's are'} suppressed (${where(source, 'added', SUPPRESSED)})`,
      );
    for (const { path, deleted } of files) if (deleted && TEST_PATH.test(path)) evidence.push(`${path} is deleted`);
  }
  return evidence;
}

function net(files: readonly FileDiff[], pattern: RegExp): number {
  const count = (fileLines: readonly string[]) => fileLines.filter((line) => pattern.test(line)).length;
  return files.reduce((sum, { added, removed }) => sum + count(added) - count(removed), 0);
}

const linesOf = ({ added, removed }: FileDiff): WholeFile => ({ before: removed, after: added });

type Counted = { file: FileDiff } & ReturnType<typeof countTests>;

/** Tests that are still there and assert nothing any more. What only lines are known of has no bodies to look at. */
function hollow(tests: readonly Counted[], fewer: number): string[] {
  const whole = tests.filter(({ file }) => file.whole !== undefined);
  const lost = whole.reduce((sum, { before, after }) => sum + before.asserting - after.asserting, 0);
  const count = lost - Math.max(0, fewer);
  if (count <= 0) return [];
  const where = named(whole.filter(({ before, after }) => before.asserting > after.asserting));
  return [`${count} test${count === 1 ? ' asserts' : 's assert'} nothing any more (${where})`];
}

/** Files among the tests without a test that is known, such as tables of cases, of which nothing is left. */
function emptied(tests: readonly FileDiff[]): string[] {
  return tests.flatMap(({ path, deleted, whole }) => {
    if (deleted || whole === undefined || hasText(whole.after) || !hasText(whole.before)) return [];
    return countTests(whole).before.declared > 0 ? [] : [`${path} is emptied`];
  });
}

const hasText = (fileLines: readonly string[]): boolean => codeLines(fileLines).some((line) => line.trim() !== '');

const named = (counted: readonly Counted[]): string => few(counted.map(({ file }) => file.path));

function where(files: readonly FileDiff[], side: 'added' | 'removed', pattern: RegExp): string {
  return few(files.filter((file) => file[side].some((line) => pattern.test(line))).map(({ path }) => path));
}

function few(paths: readonly string[]): string {
  return `${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ` and ${paths.length - 3} more files` : ''}`;
}

function loosened({ path, added, removed }: FileDiff): string[] {
  const evidence: string[] = [];
  const compare = (pattern: RegExp, worse: (before: number, now: number) => boolean) => {
    const before = numbers(removed, pattern);
    for (const [key, now] of numbers(added, pattern)) {
      const was = before.get(key);
      if (was !== undefined && worse(was, now)) evidence.push(`${path}: ${key} is ${now} now, and was ${was}`);
    }
  };
  compare(FLOOR, (before, now) => now < before);
  compare(CEILING, (before, now) => now > before);
  const options = (fileLines: readonly string[]) =>
    new Map(
      fileLines.flatMap((line) =>
        [...line.matchAll(STRICT_OPTION)].map((match) => [match[1] ?? '', match[2] === 'true']),
      ),
    );
  const now = options(added);
  for (const [key, was] of options(removed)) if (was && now.get(key) !== true) evidence.push(`${path}: ${key} is off`);
  const loose = (fileLines: readonly string[]) => fileLines.filter((line) => LOOSE_OPTION.test(line)).length;
  if (loose(added) > loose(removed))
    evidence.push(`${path}: ${LOOSE_OPTION.exec(added.join('\n'))?.[0] ?? 'an option'} lets less be found`);
  return evidence;
}

/** Values by key; of a key that occurs more than once, the last. */
function numbers(fileLines: readonly string[], pattern: RegExp): Map<string, number> {
  return new Map(
    fileLines.flatMap((line) => [...line.matchAll(pattern)].map((match) => [match[1] ?? '', Number(match[2])])),
  );
}

function scripts({ path, added, removed }: FileDiff, { strict }: TamperRules): string[] {
  if (!path.endsWith('package.json')) return [];
  const of = (fileLines: readonly string[]) =>
    new Map(
      fileLines.flatMap((line) => {
        const [, name, command] = SCRIPT.exec(line) ?? [];
        return name === undefined ? [] : [[name, command ?? '']];
      }),
    );
  const now = of(added);
  return [...of(removed)].flatMap(([name, was]) => {
    const is = now.get(name);
    if (is === was || TOOTHLESS.test(was) || /no test specified/.test(was)) return [];
    if (is === undefined) return [`${path}: the script "${name}" is gone (${was})`];
    if (TOOTHLESS.test(is)) return [`${path}: the script "${name}" cannot fail any more: ${is}`];
    return strict ? [`${path}: the script "${name}" is ${is} now, and was ${was}`] : [];
  });
}

/**
 * A diff as `git diff` writes it (without renames), by file.
 * @param whole it was asked for with so much context that it has all of each file.
 */
export function parseDiff(text: string, { whole = false }: { whole?: boolean } = {}): FileDiff[] {
  const files: FileDiff[] = [];
  let inHunk = false;
  for (const line of text.split('\n')) {
    const [, path] = /^diff --git a\/(.*) b\/\1$/.exec(line) ?? [];
    if (path !== undefined) {
      files.push({
        path,
        deleted: false,
        added: [],
        removed: [],
        ...(whole ? { whole: { before: [], after: [] } } : {}),
      });
      inHunk = false;
      continue;
    }
    const file = files.at(-1);
    if (file === undefined) continue;
    if (line.startsWith('@@ ')) inHunk = true;
    else if (!inHunk && line.startsWith('deleted file mode')) file.deleted = true;
    else if (inHunk) takeLine(file, line);
  }
  return files;
}

function takeLine({ added, removed, whole }: FileDiff, line: string): void {
  const text = line.slice(1);
  if (line.startsWith('+')) {
    added.push(text);
    whole?.after.push(text);
  } else if (line.startsWith('-')) {
    removed.push(text);
    whole?.before.push(text);
  } else if (line.startsWith(' ')) {
    whole?.before.push(text);
    whole?.after.push(text);
  }
}
