/** Outputs as text for a model: bounded, valid UTF-8, control characters left as text. */
import type { ExecResult } from '../provider.ts';

/** What a terminal would obey: C0 but tab and the ends of lines, DEL, C1. */
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

/** Bytes as text. Control characters stay visible as such; invalid UTF-8 becomes U+FFFD. */
export function asText(bytes: Buffer): string {
  return bytes
    .toString('utf8')
    .replace(CONTROLS, (char) => (char === '\0' ? '\\0' : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`));
}

/** Cut at a character's border: UTF-8 continuation bytes at either end belong to a character that is not whole. */
function wholeCharacters(bytes: Buffer, side: 'start' | 'end'): Buffer {
  const isContinuation = (at: number) => ((bytes[at] ?? 0) & 0xc0) === 0x80;
  if (side === 'start') {
    let from = 0;
    while (from < 4 && from < bytes.length && isContinuation(from)) from++;
    return bytes.subarray(from);
  }
  let to = bytes.length;
  while (to > 0 && bytes.length - to < 4 && isContinuation(to - 1)) to--;
  const lead = bytes[to - 1] ?? 0;
  const width = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  return width > bytes.length - to + 1 ? bytes.subarray(0, to - 1) : bytes;
}

/** The output of a command, or its head and tail with what is between them said. `file` has the whole. */
export function headAndTail(result: ExecResult, file: string): string {
  if (!result.truncated) return asText(result.stdout);
  const head = wholeCharacters(result.stdout, 'end');
  const tail = wholeCharacters(result.tail, 'start');
  const left = result.bytes - head.length - tail.length;
  return `${asText(head)}\n[… ${left} bytes are left out; the whole output (${result.bytes} bytes) is in ${file} …]\n${asText(tail)}`;
}

/** Whole lines up to a number of bytes. */
export function headLines(text: string, bytes: number): { text: string; cut: boolean } {
  const buffer = Buffer.from(text);
  if (buffer.length <= bytes) return { text, cut: false };
  const part = wholeCharacters(buffer.subarray(0, bytes), 'end').toString('utf8');
  const end = part.lastIndexOf('\n');
  return { text: end <= 0 ? part : part.slice(0, end), cut: true };
}
