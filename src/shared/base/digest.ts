/** 32-bit FNV-1a over UTF-16 code units, 8 hex digits: tells apart what is nearly always the same. Not for secrets or untrusted input. Source: Fowler, Noll, Vo, draft-eastlake-fnv. */
export function fnv1a(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
