/** What is asked and answered: made from a seed, so that the client knows every answer to the letter. */

/** Numbers in [0, 1) from a seed. Source: mulberry32, by Tommy Ettinger; public domain. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const CHUNKS = 10;

/** The answer to the request with this number, in the pieces in which it is streamed. No two pieces are the same. */
export function answerTo(request: number): string[] {
  const random = seeded(request + 1);
  return Array.from({ length: CHUNKS }, (_, i) => `${request}.${i}:${Math.floor(random() * 1e9).toString(36)} `);
}
