/** Text that is bounded and shown on one line: what is left out is said. Pure. */

/** Bytes of a string in UTF-8. */
export const byteLength = (text: string): number => Buffer.byteLength(text);

/** The longest start of a text that fits into `maxBytes` of UTF-8 without splitting a character. */
export function headBytes(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = Math.max(0, maxBytes);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString();
}

function tailBytes(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let start = bytes.length - Math.max(0, maxBytes);
  while (start < bytes.length && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  return bytes.subarray(start).toString();
}

/** The start of a text, with a note of how much is missing and where to find it. */
export function cutEnd(text: string, maxBytes: number, remedy = ''): string {
  const total = byteLength(text);
  if (total <= maxBytes) return text;
  return `${headBytes(text, maxBytes)}\n[cut here: ${maxBytes} of ${total} bytes${remedy === '' ? '' : `; ${remedy}`}]`;
}

/** Head and tail of a tool's output; the middle goes, with a note of how much it was. */
export function cutMiddle(text: string, maxBytes: number, remedy: string): string {
  const total = byteLength(text);
  if (total <= maxBytes) return text;
  const head = headBytes(text, Math.floor(maxBytes * 0.7));
  const tail = tailBytes(text, Math.floor(maxBytes * 0.3));
  const left = total - byteLength(head) - byteLength(tail);
  return `${head}\n[… ${left} bytes left out; ${remedy} …]\n${tail}`;
}

/** As one line: control characters (line breaks too) become their escapes. */
export function escapeControls(text: string): string {
  return text.replace(CONTROL, (char) => {
    const known: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
    return known[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;
