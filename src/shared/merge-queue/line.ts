/** Requests in the order in which they are merged onto the branch's tip, by id. What a check judges. */
export type Line = readonly string[];

export const sameLine = (a: Line, b: Line): boolean => a.length === b.length && startsWith(a, b);

export const startsWith = (line: Line, start: Line): boolean =>
  start.length <= line.length && start.every((id, i) => id === line[i]);

export const without = (line: Line, left: Line): string[] => line.filter((id) => !left.includes(id));
