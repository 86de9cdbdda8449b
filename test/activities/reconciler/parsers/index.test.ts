import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseErrors, parseTests, unparsedError } from '../../../../src/activities/reconciler/parsers/index.ts';

/** What the tools really wrote, with the work tree's path put in the place of the folder that they ran in. */
const output = (name: string): string =>
  readFileSync(join(import.meta.dirname, '..', 'outputs', `${name}.txt`), 'utf8');

/** file:line:column code message */
const shown = (name: string): string[] =>
  parseErrors('check', output(name), '/workspace').map(
    ({ file = '', line = '', column = '', code = '', message }) => `${file}:${line}:${column} ${code} ${message}`,
  );

const TSC = [
  "src/a.ts:1:14 TS2322 Type 'string' is not assignable to type 'number'.",
  "src/a.ts:2:22 TS2307 Cannot find module './gone.ts' or its corresponding type declarations.",
  "src/a.ts:4:12 TS2339 Property 'foo' does not exist on type 'string'.",
  "src/a.ts:4:18 TS2552 Cannot find name 'undefinedName'. Did you mean 'undefined'?",
];
const RUFF = [
  'calc.py:1:1 I001 Import block is un-sorted or un-formatted',
  'calc.py:1:8 F401 `os` imported but unused',
];
const GO_TEST = [
  'x_test.go:7:  TestAdd: Add(1, 2) = -1',
  'x_test.go:14:  TestPanics: panic: assignment to entry in nil map',
];

const ERRORS: Record<string, string[]> = {
  tsc: TSC,
  'tsc-pretty': TSC,
  eslint: [
    'src/b.js:2:5 no-constant-condition Unexpected constant condition',
    "src/b.js:2:13 no-undef 'nothing' is not defined",
    'src/c.js:1:7  Parsing error: Unexpected token =',
  ],
  biome: [
    'src/d.ts:2:29 lint/suspicious/noDoubleEquals Using == may be unsafe if you are relying on type coercion.',
    'src/d.ts:2:37 lint/suspicious/noDebugger This is an unexpected use of the debugger statement.',
  ],
  'node-syntax': ["src/e.mjs:1: SyntaxError Unexpected token ';'"],
  'node-missing': ["src/f.mjs:: ERR_MODULE_NOT_FOUND Cannot find module 'src/gone.mjs' imported from src/f.mjs"],
  'node-test': [
    'test/x.test.mjs:4:1  subtracts: AssertionError [ERR_ASSERTION]: Expected values to be strictly equal: 2 !== 1',
    'test/x.test.mjs:7:27  throws: TypeError: no such thing',
  ],
  'node-test-tap': [
    'test/x.test.mjs:4:1  subtracts: Expected values to be strictly equal: 2 !== 1',
    'test/x.test.mjs:7:27  throws: no such thing',
  ],
  jest: [
    'test/x.test.mjs::  Test suite failed to run: Must use import to load ES Module: test/x.test.mjs',
    'j/x.test.js:1:105  sums › subtracts: expect(received).toBe(expected) // Object.is equality',
    'j/x.test.js:1:177  sums › throws: TypeError: no such thing',
    "j/broken.test.js:1:1  Test suite failed to run: Cannot find module './gone' from 'j/broken.test.js'",
    'test/y.test.mjs::  Test suite failed to run: Must use import to load ES Module: test/y.test.mjs',
  ],
  vitest: [
    "v/broken.test.ts:1:1  could not be run: Error: Cannot find module './gone.ts' imported from v/broken.test.ts",
    'v/x.test.ts:3:17  sums > subtracts: AssertionError: expected 2 to be 1 // Object.is equality',
    'v/x.test.ts:3:89  sums > throws: TypeError: no such thing',
  ],
  mocha: [
    'm/x.js:2:93  sums subtracts: AssertionError [ERR_ASSERTION]: 2 == 1',
    'm/x.js:2:166  sums throws: TypeError: no such thing',
  ],
  pytest: [
    'tests/test_syntax.py:1: SyntaxError invalid syntax',
    "tests/test_broken.py:1:  could not be collected: ModuleNotFoundError: No module named 'gone'",
    'tests/test_syntax.py:1:  could not be collected: SyntaxError: invalid syntax',
  ],
  'pytest-fail': [
    'tests/test_calc.py:5:  test_add: assert -1 == 3',
    'tests/test_calc.py:12:  test_raises: ValueError: no such thing',
  ],
  unittest: [
    'test_unit.py:7:  test_raises (test_unit.Sums.test_raises): ValueError: no such thing',
    'test_unit.py:3:  test_add (test_unit.Sums.test_add): AssertionError: 2 != 3',
  ],
  mypy: ['calc.py:5: return-value Incompatible return value type (got "str", expected "int")'],
  ruff: RUFF,
  'ruff-concise': RUFF,
  compileall: ['broken.py:1: SyntaxError invalid syntax'],
  'go-build': ['bad/bad.go:3:8  "fmt" imported and not used', 'bad/bad.go:5:23  undefined: undefinedName'],
  'go-vet': ['vet/vet.go:5:24  fmt.Printf format %d has arg "x" of wrong type string'],
  'go-test': GO_TEST,
  'go-test-quiet': GO_TEST,
  'cargo-build': [
    'src/lib.rs:1:53 E0308 mismatched types',
    'src/lib.rs:2:14 E0425 cannot find function `gone` in this scope',
  ],
  'cargo-test': ['src/lib.rs:7:9  tests::adds: assertion `left == right` failed left: -1 right: 3'],
  make: [
    'a.c:1:25  ‘undefined_name’ undeclared (first use in this function)',
    'a.c:2:21  expected ‘;’ at end of input',
    'a.c:2:1  expected declaration or statement at end of input',
  ],
  'make-plain': [],
};

describe('parseErrors', () => {
  it.each(Object.entries(ERRORS))('reads what %s really writes', (name, expected) => {
    expect(shown(name)).toEqual(expected);
  });

  it('gives an error once, however often and under whatever check it is printed', () => {
    expect(parseErrors('types', `${output('tsc')}\n${output('tsc')}`, '/workspace')).toHaveLength(4);
    const [types] = parseErrors('types', output('tsc'), '/workspace');
    const [build] = parseErrors('build', output('tsc-pretty'), '/workspace');
    expect(build?.signature).toBe(types?.signature);
  });

  it('names no file outside of the repository', () => {
    const text = '/usr/include/stdio.h:3:1: error: broken\n../other/a.c:1:1: error: broken too\n';
    expect(parseErrors('make', text, '/workspace').map(({ file }) => file)).toEqual([undefined, undefined]);
  });

  it('keeps the signature of an error that has moved to another line, and tells two files apart', () => {
    const at = (file: string, line: number) =>
      parseErrors('c', `${file}:${line}:2: error: expected 3 arguments, got ${line}`, '/w')[0]?.signature;
    expect(at('a.c', 7)).toBe(at('a.c', 1_200));
    expect(at('a.c', 7)).not.toBe(at('b.c', 7));
  });
});

describe('unparsedError', () => {
  it('says how the check ended and its last lines, where no tool is recognized', () => {
    expect(unparsedError('make', output('make-plain'), '`make` ended with code 2').message).toBe(
      '`make` ended with code 2 | working | make: *** [Makefile:2: all] Error 1',
    );
  });
});

describe('parseTests', () => {
  it.each([
    ['node-test', { run: 3, failed: 2, skipped: 2 }],
    ['node-test-tap', { run: 3, failed: 2, skipped: 2 }],
    ['jest', { run: 3, failed: 2, skipped: 1 }],
    ['vitest', { run: 3, failed: 2, skipped: 1 }],
    ['mocha', { run: 3, failed: 2, skipped: 1 }],
    ['pytest-fail', { run: 3, failed: 2, skipped: 1 }],
    ['unittest', { run: 3, failed: 2, skipped: 1 }],
    ['go-test', { run: 3, failed: 2, skipped: 1 }],
    ['cargo-test', { run: 2, failed: 1, skipped: 1 }],
    ['go-test-quiet', undefined],
    ['tsc', undefined],
  ])('counts the tests of %s', (name, expected) => {
    expect(parseTests(output(name))).toEqual(expected);
  });

  it('adds up the runners of one check', () => {
    expect(parseTests(`${output('pytest-fail')}\n${output('cargo-test')}`)).toEqual({ run: 5, failed: 3, skipped: 2 });
  });
});
