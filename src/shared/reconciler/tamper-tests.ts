/**
 * Which tests of a file assert anything: read from its text by indentation, as formatters lay it out, in the languages
 * whose tests the tamper guard knows. Pure. In doubt a test asserts: what is called that this file does not define may.
 */

/** Lines of one file before and after a change; empty where it was not there. */
export type WholeFile = { before: string[]; after: string[] };

type TestCounts = { declared: number; asserting: number };

const DECLARED =
  /(?:^|[^.\w])(?:it|test)(?:\.(?:each|concurrent|only|fails|sequential)\b[^(]*)?\s*\(|^\s*(?:async )?def test\w*\s*\(|^func (?:Test|Fuzz|Benchmark)\w*\(|#\[(?:\w+::)?test\]|^\s*@Test\b/;
/** Of one that runs. */
const ASSERTS =
  /\b(?:expect|assert)\w*\b|\b(?:should|verify|require|throw|raises?|panic|fail)\b|\b[tb]\.(?:Error|Fatal|Fail)|\.to(?:Be|Equal|Match|Have|Throw|Contain|Strict)\w*\(|\.(?:rejects|resolves)\b/i;
/** An assertion about nothing but literals. */
const TRIVIAL =
  /\b(?:expect|assert(?:\.\w+|_\w+!|!)?)\s*\(?\s*(?:true|false|null|undefined|\d+|'[^']*'|"[^"]*")\s*(?:[,)]\s*(?:true|\d+|'[^']*'|"[^"]*")?\s*\)?\s*(?:\.(?:toBe\w*|toEqual|toStrictEqual)\([^()]*\))?|==\s*\S+|$)\s*;?\s*$/i;
const COMMENT = /^\s*(?:\/\/|\*|#(?!!?\[))/;
const CLOSES = /^[\])}>`]/;
/** `])('adds %i', (n) => {` goes on with what `it.each([` began. */
const OPENS_AGAIN = /(?:[{([]|=>|:)$/;
const ATTRIBUTE = /^\s*(?:#\[|@)/;
const DEFINES =
  /^\s*(?:export\s+)?(?:async\s+)?(?:function\*?\s+(\w+)|(?:const|let|var)\s+(\w+)[^=]*=\s*(?:async\s*)?(?:function\b|\(|\w+\s*=>|<)|def\s+(\w+)|func\s+(\w+)|(?:pub\s+)?fn\s+(\w+))/;
const CALLS = /([A-Za-z_$][\w$]*)\s*(?:<[^<>()]*>)?\(/g;
/** Whoever calls only these asserts nothing. */
const IDLE =
  /^(?:it|test|describe|if|for|while|switch|catch|return|function|async|await|log|info|debug|print|println|printf|Number|String|Boolean|Array|Object|Promise|resolve|sleep|setTimeout|noop|def|fn|func|void)$/;

/** The lines that are no comments. A block comment is one that begins and ends with its lines. */
export function codeLines(codeOrTestLines: readonly string[]): string[] {
  const code: string[] = [];
  let inComment = false;
  for (const line of codeOrTestLines) {
    const begins: boolean = inComment || /^\s*\/\*/.test(line);
    if (begins) inComment = !line.includes('*/');
    if (!begins && !COMMENT.test(line)) code.push(line);
  }
  return code;
}

/**
 * @param file a test file, or a source file with tests in it.
 * @returns how many tests it declares and how many of them assert, before and after the change.
 */
export function countTests({ before, after }: WholeFile): { before: TestCounts; after: TestCounts } {
  const [was, is] = [codeLines(before), codeLines(after)];
  const known = new Set(was.flatMap(callsIn));
  return { before: countsOf(was, new Set()), after: countsOf(is, known) };
}

/** @param known what was called before: a call that is new may be of a helper that asserts. */
function countsOf(codeOrTestLines: readonly string[], known: ReadonlySet<string>): TestCounts {
  const helpers = definitionsIn(codeOrTestLines);
  const asserting = assertingAmong(helpers);
  const counts = { declared: 0, asserting: 0 };
  for (const [i, line] of codeOrTestLines.entries()) {
    if (!DECLARED.test(line)) continue;
    counts.declared += 1;
    const body = untilReturn(blockAt(codeOrTestLines, i));
    const isNew = (name: string): boolean =>
      known.size > 0 && !known.has(name) && !helpers.has(name) && !IDLE.test(name);
    const calls = body.filter((each) => !TRIVIAL.test(each)).flatMap(callsIn);
    if (body.some(isAssertion) || calls.some((name) => asserting.has(name) || isNew(name))) counts.asserting += 1;
  }
  return counts;
}

const isAssertion = (line: string): boolean => ASSERTS.test(withoutTitle(line)) && !TRIVIAL.test(line);

/** Titles of tests are words: "should add" asserts nothing. */
const withoutTitle = (line: string): string =>
  DECLARED.test(line) || CLOSES.test(line.trim())
    ? line.replace(/(\(\s*)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)/, '$1')
    : line;

const callsIn = (line: string): string[] => [...withoutTitle(line).matchAll(CALLS)].map(([, name]) => name ?? '');

const indentOf = (line: string): number => /^\s*/.exec(line)?.[0].length ?? 0;

/** The line with all that stands deeper behind it, to what closes it; of an attribute, with what it is about. */
function blockAt(codeOrTestLines: readonly string[], from: number): string[] {
  const first = codeOrTestLines[from] ?? '';
  const block = [first];
  const depth = indentOf(first);
  for (const line of codeOrTestLines.slice(from + 1)) {
    const text = line.trim();
    if (text === '') continue;
    if (indentOf(line) > depth) {
      block.push(line);
      continue;
    }
    const closes = CLOSES.test(text);
    if (indentOf(line) < depth || !(closes || block.every((each) => ATTRIBUTE.test(each)))) break;
    block.push(line);
    if (closes && !OPENS_AGAIN.test(text)) break;
  }
  return block;
}

/** What comes after a return that stands alone in the body never runs. */
function untilReturn(block: readonly string[]): readonly string[] {
  const depth = Math.min(
    ...block
      .slice(1)
      .map(indentOf)
      .filter((indent) => indent > indentOf(block[0] ?? '')),
  );
  const end = block.findIndex((line, i) => i > 0 && indentOf(line) === depth && /^return;?$/.test(line.trim()));
  return end === -1 ? block : block.slice(0, end);
}

function definitionsIn(codeOrTestLines: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [i, line] of codeOrTestLines.entries()) {
    const name = DEFINES.exec(line)
      ?.slice(1)
      .find((each) => each !== undefined);
    if (name !== undefined && !DECLARED.test(line))
      found.set(name, [...(found.get(name) ?? []), ...blockAt(codeOrTestLines, i)]);
  }
  return found;
}

/** Those that assert, or call one that does. */
function assertingAmong(helpers: ReadonlyMap<string, readonly string[]>): Set<string> {
  const asserting = new Set([...helpers].filter(([, body]) => body.some(isAssertion)).map(([name]) => name));
  for (let grew = true; grew; ) {
    grew = false;
    for (const [name, body] of helpers) {
      if (asserting.has(name) || !body.flatMap(callsIn).some((called) => asserting.has(called))) continue;
      asserting.add(name);
      grew = true;
    }
  }
  return asserting;
}
