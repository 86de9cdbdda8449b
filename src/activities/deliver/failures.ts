/** What a failed call of GitHub's API means: another try, at its time, or something that a person has to mend. */
import { ApplicationFailure } from '@temporalio/common';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import { redact } from '../git/errors.ts';

/** What Octokit throws, as far as it is read here. No more of it gets into an error: it holds the whole request. */
export type ApiError = {
  status: number;
  message: string;
  headers: Record<string, string | undefined>;
  /** The messages of `errors` in the answer to a request that is not valid. */
  details: string[];
};

/** @param secret is taken out, wherever it was echoed. @returns null for what did not come from a call. */
export function apiError(error: unknown, secret: string): ApiError | null {
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number') return null;
  const response =
    'response' in error ? (error.response as { headers?: unknown; data?: unknown } | undefined) : undefined;
  const data = response?.data as { message?: unknown; errors?: unknown } | undefined;
  const clean = (text: string): string => redact(text, [secret]);
  const errors = Array.isArray(data?.errors) ? (data.errors as unknown[]) : [];
  return {
    status: error.status,
    message: clean(typeof data?.message === 'string' ? data.message : error.message),
    headers: (response?.headers ?? {}) as ApiError['headers'],
    details: errors.map((each) =>
      typeof each === 'object' && each !== null && 'message' in each
        ? clean(String(each.message))
        : clean(JSON.stringify(each)),
    ),
  };
}

/** A limit is over within the hour; a clock that is wrong must not make it days. */
const MAX_WAIT_MS = 65 * 60_000;
const DEFAULT_WAIT_MS = 60_000;
const MAX_WORDS = 500;

/**
 * @param tried as in "list the pull requests of a/b". @param token where it comes from: named, never shown.
 * @returns a terminal failure, or a retryable one that says when.
 */
export function deliveryFailure(
  error: ApiError,
  { tried, api, token, now = Date.now() }: { tried: string; api: string; token: string; now?: number },
): ApplicationFailure {
  const words = [error.message, ...error.details].join('; ').slice(0, MAX_WORDS);
  const message = `tried to ${tried} at ${api}: ${error.status} ${words}`;
  const waitMs = limitedFor(error, now);
  if (waitMs !== null) {
    return ApplicationFailure.create({
      message: `${message}\nIt is tried again in ${Math.ceil(waitMs / 1_000)} s.`,
      nextRetryDelay: waitMs,
    });
  }
  const refused = (remedy: string): ApplicationFailure => terminal(FailureType.DeliveryRefused, message, remedy);
  switch (error.status) {
    case 401:
      return refused(`The token from ${token} is not taken: give a valid one.`);
    case 403:
      return refused(`The token from ${token} needs the right to write pull requests and to read contents there.`);
    case 404:
    case 410:
    case 451:
      return refused(`The repository is not there, or the token from ${token} may not see it.`);
    case 400:
    case 422:
      return refused('The host does not take this request: its words say why.');
    default:
      return ApplicationFailure.create({ message: `${message}\nIt is tried again.` });
  }
}

/** How long to wait where a limit of requests is reached, see GitHub's "Rate limits for the REST API"; else null. */
function limitedFor({ status, message, headers }: ApiError, now: number): number | null {
  if (status !== 403 && status !== 429) return null;
  const seconds = Number(headers['retry-after'] ?? Number.NaN);
  const reset = Number(headers['x-ratelimit-reset'] ?? Number.NaN) * 1_000 - now;
  const spent = headers['x-ratelimit-remaining'] === '0';
  if (status === 403 && !spent && Number.isNaN(seconds) && !/rate limit|abuse detection/i.test(message)) return null;
  const wait = Number.isFinite(seconds) ? seconds * 1_000 : spent && Number.isFinite(reset) ? reset : DEFAULT_WAIT_MS;
  return Math.min(MAX_WAIT_MS, Math.max(1_000, wait));
}
