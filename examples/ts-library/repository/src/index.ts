export { ERROR_CODES, type ErrorCode, LineworkError } from './errors.ts';
