/** A content conflict as git reports it, of one file. */
import { z } from 'zod';

/** As git names them; `mode`: the two sides are of different types; `directory`: a folder was renamed around a file. */
export const CONFLICT_KINDS = [
  'content',
  'add/add',
  'binary',
  'modify/delete',
  'rename/delete',
  'rename/rename',
  'rename/add',
  'file/directory',
  'directory',
  'mode',
  'submodule',
  'other',
] as const;

export const Conflict = z.object({
  path: z.string(),
  kind: z.enum(CONFLICT_KINDS),
  /** Which side did what, in git's words; the sides are "the branch" and "this work". */
  detail: z.string().optional(),
});
export type Conflict = z.infer<typeof Conflict>;

/** `a.ts (content), b.ts (modify/delete)`, as people and planners read it. */
export const conflictWords = ({ path, kind }: Conflict): string => `${path} (${kind})`;
