export type Change = { kind: 'same' | 'added' | 'removed'; line: string };

/** A shortest edit script that turns the lines of a into those of b; removals come before additions. */
export function diffLines(a: string, b: string): Change[] {
  return editScript(linesOf(a), linesOf(b));
}

/** The unified form with `context` unchanged lines (3 unless given) around changes; empty when nothing differs. */
export function unified(a: string, b: string, { context = 3 }: { context?: number } = {}): string {
  const changes = diffLines(a, b);
  const near = changes.map((_, i) => changes.slice(Math.max(0, i - context), i + context + 1).some(differs));
  const out: string[] = [];
  let [fromLine, toLine] = [1, 1];
  for (let i = 0; i < changes.length; ) {
    let end = i;
    while (end < changes.length && near[end] === near[i]) end++;
    const hunk = changes.slice(i, end);
    const removed = hunk.filter((change) => change.kind !== 'added').length;
    const added = hunk.filter((change) => change.kind !== 'removed').length;
    if (near[i]) {
      out.push(`@@ -${range(fromLine, removed)} +${range(toLine, added)} @@`);
      out.push(...hunk.map(({ kind, line }) => `${SIGN[kind]}${line}`));
    }
    fromLine += removed;
    toLine += added;
    i = end;
  }
  return out.join('\n');
}

const SIGN = { same: ' ', added: '+', removed: '-' } as const;

const differs = (change: Change): boolean => change.kind !== 'same';

const range = (start: number, count: number): string => (count === 1 ? `${start}` : `${count === 0 ? start - 1 : start},${count}`);

const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\n$/, '').split('\n'));

/** By the table of longest common subsequences: time and memory O(|a|·|b|). */
function editScript(a: readonly string[], b: readonly string[]): Change[] {
  const common = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  const at = (i: number, j: number): number => common[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    const row = common[i] as Uint32Array;
    for (let j = b.length - 1; j >= 0; j--) {
      row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const changes: Change[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const [removed, added] = [a[i], b[j]];
    if (removed !== undefined && removed === added) {
      changes.push({ kind: 'same', line: removed });
      i++;
      j++;
    } else if (removed !== undefined && (added === undefined || at(i + 1, j) >= at(i, j + 1))) {
      changes.push({ kind: 'removed', line: removed });
      i++;
    } else {
      changes.push({ kind: 'added', line: added ?? '' });
      j++;
    }
  }
  return changes;
}
