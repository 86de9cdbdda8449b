/** Scopes as locks: which sets of repository paths touch each other. Pure. */

const isFolder = (path: string): boolean => path.endsWith('/');

/** Whether two scope entries can name the same file. `src/` covers `src/a.ts` and `src/b/`. */
export function pathsOverlap(a: string, b: string): boolean {
  if (a === b) return true;
  if (isFolder(a) && b.startsWith(a)) return true;
  return isFolder(b) && a.startsWith(b);
}

/** Whether two tasks may not run at the same time. An empty scope locks nothing. */
export function scopesOverlap(a: readonly string[], b: readonly string[]): boolean {
  return a.some((one) => b.some((other) => pathsOverlap(one, other)));
}
