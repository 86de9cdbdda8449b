/** Compilers, linters and interpreters: what each prints for an error. Pure. */
import { eachLine, type Finding, findingOf, lookAhead, type Parser } from './finding.ts';

/** `src/a.ts(3,7): error TS2322: …`, and `error TS18003: …`; `--pretty` has `src/a.ts:3:7 - error TS2322: …`. */
const tsc = eachLine(
  /^(?:(?<file>[^\s(][^(:]*)\((?<line>\d+),(?<column>\d+)\): )?error (?<code>TS\d+): (?<message>.*)$/,
);
const tscPretty = eachLine(
  /^(?<file>[^\s(:][^(:]*):(?<line>\d+):(?<column>\d+) - error (?<code>TS\d+): (?<message>.*)$/,
);

/** gcc, clang, mypy and many more: `a.c:1:25: error: …`, `a.py:5: error: …  [return-value]`. */
const gnu = eachLine(
  /^(?<file>[^\s:][^:]*):(?<line>\d+):(?:(?<column>\d+):)? (?:fatal )?error: (?<message>.*?)(?:\s+\[(?<code>[\w-]+)\])?$/,
);

/** `a.py:1:8: F401 [*] …`: ruff, flake8. */
const codes = eachLine(
  /^(?<file>[^\s:][^:]*):(?<line>\d+):(?<column>\d+): (?<code>[A-Z]{1,4}\d{1,5}):? (?:\[\*\] )?(?<message>.*)$/,
);

/** `x.go:5:23: …`: go build, go vet. */
const go = eachLine(/^(?:vet: )?(?<file>[^\s:]+\.go):(?<line>\d+):(?<column>\d+): (?<message>.*)$/);

const ARROW = /^\s*--> (?<file>\S+?):(?<line>\d+):(?<column>\d+)$/;

/** `error[E0308]: …` with ` --> src/lib.rs:1:53` below it. */
const rust: Parser = (outputLines) =>
  outputLines.flatMap((line, i) => {
    const [, code, message = ''] = /^error(?:\[(E\d+)\])?: (.*)$/.exec(line) ?? [];
    if (message === '') return [];
    const at = lookAhead(outputLines, i + 1, ARROW, { within: 3, until: /^(?:error|warning)/ });
    return at === null ? [] : [{ ...findingOf(at.groups, message), code }];
  });

/** `F401 [*] …` with ` --> a.py:1:8` below it. */
const ruff: Parser = (outputLines) =>
  outputLines.flatMap((line, i) => {
    const [, code, message = ''] = /^([A-Z]{1,4}\d{1,5}) (?:\[\*\] )?(.*)$/.exec(line) ?? [];
    const at = ARROW.exec(outputLines[i + 1] ?? '');
    return message === '' || at === null ? [] : [{ ...findingOf(at.groups, message), code }];
  });

/** A file's own line, then `  2:13  error  …  no-undef` for each. Warnings are none. */
const eslint: Parser = (outputLines) => {
  let file: string | undefined;
  return outputLines.flatMap((line): Finding[] => {
    const groups = /^ {2}(?<line>\d+):(?<column>\d+) +error +(?<message>.*?)(?: {2,}(?<code>[@\w/-]+))?$/.exec(
      line,
    )?.groups;
    if (groups !== undefined && file !== undefined) return [{ ...findingOf(groups), file }];
    if (line !== '' && !line.startsWith(' ')) file = /^\S.*\.\w+$/.test(line) ? line : undefined;
    return [];
  });
};

/** `src/d.ts:2:29 lint/suspicious/noDoubleEquals  FIXABLE ━━━`, with `  × …` below it. */
const biome: Parser = (outputLines) =>
  outputLines.flatMap((line, i) => {
    const groups =
      /^(?<file>[^\s:]+?)(?::(?<line>\d+):(?<column>\d+))? (?<code>(?:lint|parse|format|assist|suppressions)(?:\/\S+)?) .*━/.exec(
        line,
      )?.groups;
    const message = lookAhead(outputLines, i + 1, /^ {2}[×!] (?<message>.*)$/, { within: 4 })?.groups?.message;
    return groups === undefined ? [] : [findingOf(groups, message ?? groups.code)];
  });

/** `  File "broken.py", line 1` of a SyntaxError: what does not even compile. */
const pythonSyntax: Parser = (outputLines) =>
  outputLines.flatMap((line, i) => {
    const at = /^(?:E\s+|\s*)File "(?<file>[^"]+)", line (?<line>\d+)$/.exec(line);
    if (at === null) return [];
    const message = lookAhead(
      outputLines,
      i + 1,
      /^(?:E\s+)?(?<code>SyntaxError|IndentationError|TabError): (?<message>.*)$/,
      {
        within: 4,
      },
    )?.groups;
    return message === undefined ? [] : [{ ...findingOf(at.groups, message.message), code: message.code }];
  });

/** `file:///…/e.mjs:1` above a SyntaxError, or `[ERR_MODULE_NOT_FOUND]: … imported from …`. */
const node: Parser = (outputLines) =>
  outputLines.flatMap((line, i) => {
    const missing = /^\s*Error \[(?<code>ERR_MODULE_NOT_FOUND)\]: (?<message>.* imported from (?<file>\S+))$/.exec(
      line,
    );
    if (missing !== null) return [findingOf(missing.groups)];
    const at = /^(?<file>(?:file:\/\/)?\/\S+\.[cm]?[jt]sx?):(?<line>\d+)$/.exec(line);
    if (at === null) return [];
    const message = lookAhead(outputLines, i + 1, /^(?<code>SyntaxError)(?: \[\w+\])?: (?<message>.*)$/, {
      within: 6,
    })?.groups;
    return message === undefined ? [] : [{ ...findingOf(at.groups, message.message), code: message.code }];
  });

export const COMPILERS: readonly Parser[] = [
  tsc,
  tscPretty,
  gnu,
  codes,
  go,
  rust,
  ruff,
  eslint,
  biome,
  pythonSyntax,
  node,
];
