/** How a merge queue stands, where that keeps work from landing. */
import type { MergeQueueSnapshot } from '../shared/contracts/merge.ts';
import { MERGE_TEXT } from '../shared/merge-queue/text.ts';
import { mergeQueueText } from './text.ts';

/** @returns lines for a person; none where nothing is in the way. */
export function mergeQueueLines({ target, frozen, waitingFor, checking, did }: MergeQueueSnapshot): string[] {
  const [line] = [...checking].sort((a, b) => b.length - a.length);
  return [
    ...frozen.map((freeze) => mergeQueueText.frozen(target, MERGE_TEXT.freeze(freeze))),
    ...(did === undefined ? [] : [mergeQueueText.did(target, did)]),
    ...(waitingFor === undefined ? [] : [mergeQueueText.waits(target, waitingFor)]),
    ...(line === undefined ? [] : [mergeQueueText.checking(target, line.length, checking.length)]),
  ];
}
