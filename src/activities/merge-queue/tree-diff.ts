/** Two trees compared, and what is in their files, for those who look at a merge by its lines. */
import type { Mirror } from '../git/contract.ts';

/** What is larger, or binary, is one line: nobody merges it by lines. */
const MAX_BLOB_BYTES = 1_000_000;
export const WHOLE_FILE = '(the whole file: it is binary or large)';

export type Side = { mode: string; object: string };
const NO_FILE = /^0+$/;

/** Files that differ, by path, as git's raw diff has them. */
export async function changes(
  mirror: Mirror,
  from: string,
  to: string,
  signal?: AbortSignal,
): Promise<Map<string, { from: Side; to: Side }>> {
  const argv = ['diff-tree', '-r', '-z', '--raw', '--no-renames', '--no-abbrev', from, to];
  const { stdout } = await mirror.git(argv, { signal });
  const fields = stdout.toString('utf8').split('\0');
  const found = new Map<string, { from: Side; to: Side }>();
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const [modeFrom = '', modeTo = '', objectFrom = '', objectTo = ''] = (fields[i] ?? '').slice(1).split(' ');
    found.set(fields[i + 1] ?? '', {
      from: { mode: modeFrom, object: objectFrom },
      to: { mode: modeTo, object: objectTo },
    });
  }
  return found;
}

/** Reads blobs, two processes for all. What is no ordinary file says so in a line, as in git's diffs. */
export async function contents(
  mirror: Mirror,
  sides: readonly Side[],
  signal?: AbortSignal,
): Promise<(side: Side) => string | undefined> {
  const isBlob = ({ mode, object }: Side): boolean => !NO_FILE.test(object) && mode !== '160000';
  const blobs = [...new Set(sides.filter(isBlob).map(({ object }) => object))];
  const texts = new Map<string, string>();
  if (blobs.length > 0) {
    const check = { stdin: `${blobs.join('\n')}\n`, signal };
    const sizes = (await mirror.git(['cat-file', '--batch-check=%(objectsize)'], check)).stdout.toString().split('\n');
    const small = blobs.filter((_, i) => Number(sizes[i]) <= MAX_BLOB_BYTES);
    const { stdout } = await mirror.git(['cat-file', '--batch'], { stdin: `${small.join('\n')}\n`, signal });
    let at = 0;
    for (const object of small) {
      const end = stdout.indexOf('\n', at);
      const size = Number(stdout.toString('latin1', at, end).split(' ')[2]);
      const blob = stdout.subarray(end + 1, end + 1 + size);
      if (!blob.includes(0)) texts.set(object, blob.toString('utf8'));
      at = end + 1 + size + 1;
    }
  }
  return (side) => {
    if (NO_FILE.test(side.object)) return undefined;
    if (side.mode === '160000') return `Subproject commit ${side.object}`;
    const text = texts.get(side.object) ?? `${WHOLE_FILE} ${side.object}`;
    return side.mode === '100644' ? text : `(file mode ${side.mode})\n${text}`;
  };
}
