/** read, write, edit and ls: small scripts with the data on standard input or as arguments, never in the script. */
import { asText, headLines } from './text.ts';
import { describeFailure, failed, insidePath, ok, type Tool } from './tool.ts';

const MAX_EDIT_BYTES = 16 * 1024 * 1024;
const MAX_LINE = 2_000;
const NO_FILE = 'No such file or directory';

const READ = `
[ ! -d "$1" ] || { echo 'it is a folder; use ls' >&2; exit 2; }
[ -e "$1" ] || { echo '${NO_FILE}' >&2; exit 2; }
[ -f "$1" ] || { echo 'it is not a regular file' >&2; exit 2; }
[ -r "$1" ] || { echo 'Permission denied' >&2; exit 2; }
if [ "$3" = all ]; then exec cat < "$1"; fi
if [ "$2" = 1 ]; then exec head -n "$3" < "$1"; fi
tail -n "+$2" < "$1" | head -n "$3"
`;

export const read: Tool<'read'> = {
  writes: false,
  async call({ path, offset = 1, limit = 2_000 }, { paths, run, outputBytes }) {
    const result = await run(
      ['/bin/sh', '-c', READ, 'sh', insidePath(path, paths), String(offset), String(limit + 1)],
      {
        headBytes: outputBytes * 2,
        maxBytes: 512 * 1024 * 1024,
      },
    );
    if (result.exitCode !== 0 && !result.truncated) return describeFailure(path, result);
    if (result.stdout.subarray(0, 8_000).includes(0))
      return failed(`${path}: it is a binary file of no text (${result.bytes} bytes).`);
    if (result.bytes === 0)
      return ok(offset === 1 ? '[The file is empty.]' : `[The file has fewer than ${offset} lines.]`);
    const textLines = asText(result.stdout).replace(/\n$/, '').split('\n');
    const shown = textLines.slice(0, limit);
    const numbered = shown
      .map(
        (line, i) =>
          `${String(offset + i).padStart(6)}\t${line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}[… ${line.length - MAX_LINE} more]` : line}`,
      )
      .join('\n');
    const { text, cut } = headLines(numbered, outputBytes);
    if (!cut && !result.truncated && textLines.length <= limit) return ok(text);
    const next = offset + text.split('\n').length;
    return ok(`${text}\n[There is more: read on with offset ${next}.]`);
  },
};

const WRITE = 'case $1 in */*) [ -d "${1%/*}/" ] || mkdir -p -- "${1%/*}/" || exit 1;; esac; exec cat > "$1"';

export const write: Tool<'write'> = {
  writes: true,
  async call({ path, content }, { paths, run }) {
    const result = await run(['/bin/sh', '-c', WRITE, 'sh', insidePath(path, paths)], { stdin: content });
    if (result.exitCode !== 0) return describeFailure(`${path} could not be written`, result);
    return ok(`Wrote ${Buffer.byteLength(content)} bytes to ${path}.`);
  },
};

export const edit: Tool<'edit'> = {
  writes: true,
  async call({ path, oldText, newText }, { paths, run }) {
    const inside = insidePath(path, paths);
    const found = await run(['/bin/sh', '-c', READ, 'sh', inside, '1', 'all'], {
      headBytes: MAX_EDIT_BYTES,
      maxBytes: MAX_EDIT_BYTES,
    });
    if (found.exitCode !== 0) return describeFailure(path, found);
    const before = found.stdout;
    let [oldBytes, newBytes] = [Buffer.from(oldText), Buffer.from(newText)];
    if (!before.includes(oldBytes) && before.includes('\r\n') && !oldText.includes('\r')) {
      // The file's lines end in CRLF, which the model was not shown.
      [oldBytes, newBytes] = [oldText, newText].map((text) => Buffer.from(text.replace(/\r?\n/g, '\r\n'))) as [
        Buffer<ArrayBuffer>,
        Buffer<ArrayBuffer>,
      ];
    }
    const at = before.indexOf(oldBytes);
    if (at === -1)
      return failed(
        `${path}: oldText does not occur in it. Read the file and give the text exactly, with its whitespace.`,
      );
    if (before.indexOf(oldBytes, at + 1) !== -1) {
      return failed(
        `${path}: oldText occurs ${count(before, oldBytes)} times. Give more of the lines around it, so that it is unique.`,
      );
    }
    const after = Buffer.concat([before.subarray(0, at), newBytes, before.subarray(at + oldBytes.length)]);
    const result = await run(['/bin/sh', '-c', 'exec cat > "$1"', 'sh', inside], { stdin: after });
    if (result.exitCode !== 0) return describeFailure(`${path} could not be written`, result);
    const line = before.subarray(0, at).toString('latin1').split('\n').length;
    return ok(`Edited ${path} at line ${line}.`);
  },
};

function count(bytes: Buffer, part: Buffer): number {
  let times = 0;
  for (let at = bytes.indexOf(part); at !== -1; at = bytes.indexOf(part, at + 1)) times++;
  return times;
}

const LS = '[ -e "$1" ] || { echo "No such file or directory" >&2; exit 2; }; exec ls -1Ap -- "$1"';

export const ls: Tool<'ls'> = {
  writes: false,
  async call({ path }, { paths, run, outputBytes }) {
    const result = await run(['/bin/sh', '-c', LS, 'sh', insidePath(path, paths)], { headBytes: 4 * 1024 * 1024 });
    if (result.exitCode !== 0) return describeFailure(path ?? '.', result);
    const { text, cut } = headLines(asText(result.stdout).replace(/\n$/, ''), outputBytes);
    if (text === '') return ok('[The folder is empty.]');
    return ok(cut ? `${text}\n[There are more; use find.]` : text);
  },
};
