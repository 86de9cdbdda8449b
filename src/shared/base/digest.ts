/** Short digests, for telling apart what is nearly always the same. Not for secrets or untrusted input. Pure. */
import type { Message } from '../contracts/agent.ts';

/** 32-bit FNV-1a over UTF-16 code units, 8 hex digits. Source: Fowler, Noll, Vo, draft-eastlake-fnv. */
export function fnv1a(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/** Of the last two messages: an answer and what its tools gave, when a turn went as most do. */
export function tailDigest(messages: readonly Message[]): string {
  const text = JSON.stringify(messages.slice(-2));
  return `${fnv1a(text)}${text.length.toString(16)}`;
}
