/** Every error that this library throws, by code, in alphabetical order. */
export const ERROR_CODES = {
  'invalid-number': 'a number was expected',
  'unknown-unit': 'the unit is not known',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Thrown for input that a function cannot take; `code` is for programs, the message for people. */
export class LineworkError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, detail: string) {
    super(`${ERROR_CODES[code]}: ${detail}`);
    this.name = 'LineworkError';
    this.code = code;
  }
}
