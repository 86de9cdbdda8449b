/** What a conflict agent of a script does: reads the files that are in conflict, merges, writes, checks. */
import { type Conversation, conflictedFiles, type ScriptAnswer } from './conversation.ts';
import { check, handoffAnswer, nextTurn, type Play, read, step, write } from './steps.ts';

/** Both sides' lines of one conflict, in the order of the file; gives the lines that replace it. */
export type MergeHunk = (ours: string[], theirs: string[]) => string[];

/** A file's content with every conflict replaced by what `merge` says; with or without the common base. */
export function mergeConflicts(content: string, merge: MergeHunk): string {
  const out: string[] = [];
  let side: 'none' | 'ours' | 'base' | 'theirs' = 'none';
  let ours: string[] = [];
  let theirs: string[] = [];
  for (const line of content.split('\n')) {
    if (side === 'none' && line.startsWith('<<<<<<<')) {
      side = 'ours';
      ours = [];
      theirs = [];
    } else if (side === 'ours' && line.startsWith('|||||||')) side = 'base';
    else if ((side === 'ours' || side === 'base') && line.startsWith('=======')) side = 'theirs';
    else if (side === 'theirs' && line.startsWith('>>>>>>>')) {
      side = 'none';
      out.push(...merge(ours, theirs));
    } else if (side === 'none') out.push(line);
    else if (side === 'ours') ours.push(line);
    else if (side === 'theirs') theirs.push(line);
  }
  return out.join('\n');
}

/** Every line of both sides, once, in alphabetical order: for tables and lists. */
export const sortedUnion: MergeHunk = (ours, theirs) => [...new Set([...ours, ...theirs])].sort();

export type ConflictScript = {
  /** How each file that can be in conflict is merged. */
  files: Readonly<Record<string, (content: string) => string>>;
  /** What must exit 0 after the merge. */
  command: string;
};

/** What the conflict agent does next. Pure. */
export function nextConflictTurn(script: ConflictScript, conversation: Conversation): ScriptAnswer {
  const files = conflictedFiles(conversation);
  const unknown = files.filter((file) => !Object.hasOwn(script.files, file));
  if (unknown.length > 0) {
    return handoffAnswer({
      status: 'blocked',
      summary: `I cannot tell what both sides want of ${unknown.join(', ')}.`,
    });
  }
  const quoted = files.map((file) => `'${file.replaceAll("'", "'\\''")}'`).join(' ');
  const play: Play = {
    steps: [
      step('I look at both sides of the conflict.', ...files.map(read)),
      {
        say: 'Both changes are wanted; I keep both.',
        calls: ({ files: seen }) => files.map((file) => write(file, script.files[file]?.(seen.get(file) ?? '') ?? '')),
      },
      check(
        'No marker is left, and the tests pass?',
        `! grep -nE '^(<<<<<<<|=======|>>>>>>>)' -- ${quoted} && ${script.command}`,
      ),
    ],
    handoff: { status: 'complete', summary: `Resolved the conflict in ${files.join(', ')}: both sides are kept.` },
  };
  return nextTurn(play, conversation);
}
