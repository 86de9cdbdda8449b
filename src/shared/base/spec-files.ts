/** The rules for a spec that is a folder, of the repository or of a person's machine. Pure. */

/** `bytes`: of all texts together, which is what a planner's model is shown of a spec. */
export const SPEC_LIMITS = { files: 200, fileBytes: 4_000_000, bytes: 200_000 } as const;

/** Sorts by path, a README or index of a folder before the rest of it. */
export function bySpecOrder(a: { path: string }, b: { path: string }): number {
  return orderOf(a.path).localeCompare(orderOf(b.path), 'en');
}

const orderOf = (path: string): string => path.replace(/(^|\/)(?:readme|index)(\.[^/]*)?$/i, '$1 ');

/** As git tells it: a NUL in the first 8,000 bytes. */
export const isBinary = (bytes: Uint8Array): boolean => bytes.subarray(0, 8_000).includes(0);
