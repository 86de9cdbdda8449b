/** @public Started by its name. Counts, without ever waiting. */
export async function computes(turns: number): Promise<number> {
  let count = 0;
  for (let turn = 0; turn < turns; turn++) count += 1;
  return count;
}
