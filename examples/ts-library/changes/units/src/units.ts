import { closest } from './distance.ts';
import { LineworkError } from './errors.ts';

/** The error for a unit that is not one of the known ones, with the one that was probably meant. */
export function unknownUnit(unit: string, known: readonly string[], text: string): LineworkError {
  const meant = closest(unit, known);
  return new LineworkError('unknown-unit', `"${unit}" in "${text}"${meant === undefined ? '' : `, did you mean ${meant}?`}`);
}
