/** What activities need of a logger. pino's logger is one. Fields never hold secrets or what a model said. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
