/** Tells people what of a run waits for them: in the worker's log, and at a webhook. */
import type { NotifyActivities } from '../../shared/contracts/activities.ts';
import type { Notice } from '../../shared/contracts/people.ts';
import { FailureType, terminal } from '../../shared/base/failures.ts';
import type { Log } from '../support/log.ts';
import { noticeText } from './text.ts';

/** Where to, and what it wants to see; from the worker's environment only, so that no repository names it. */
export type Webhook = { url: URL; token?: string };

const ANSWER_MS = 15_000;

/**
 * `AGENTSWARM_WEBHOOK_URL`, and `AGENTSWARM_WEBHOOK_TOKEN` where it wants one.
 * @throws when that is no http(s) URL; the message does not repeat it, as it may be a secret.
 */
export function webhookOf(env: NodeJS.ProcessEnv): Webhook | undefined {
  const url = env.AGENTSWARM_WEBHOOK_URL;
  const token = env.AGENTSWARM_WEBHOOK_TOKEN;
  if (url === undefined || url === '') return undefined;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new Error(
      'AGENTSWARM_WEBHOOK_URL is not a URL that starts with https:// or http://. Correct it, or unset it.',
    );
  return { url: new URL(url), ...(token === undefined || token === '' ? {} : { token }) };
}

/** An answer other than 2xx fails it; one that another attempt cannot mend fails it for good. */
export function createNotify(deps: { webhook: Webhook | undefined; log: Log }): NotifyActivities {
  const { webhook, log } = deps;
  return {
    async notify(notice) {
      for (const { name, kind, since, reminders } of notice.approvals) {
        const waitedMinutes = Math.round((Date.now() - since) / 60_000);
        log.warn(
          { run: notice.run, approval: name, kind, waitedMinutes, reminders },
          noticeText.waits(notice.run, name),
        );
      }
      if (webhook !== undefined) await post(webhook, notice);
    },
  };
}

async function post({ url, token }: Webhook, notice: Notice): Promise<void> {
  // Its path may be a secret: only where it leads to is said.
  const what = `tried to tell the webhook at ${url.host} what of run ${notice.run} waits for approval`;
  let response: Response;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      // `text` is what chat services show of it.
      body: JSON.stringify({ text: noticeText.all(notice), ...notice }),
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    await response.body?.cancel();
  } catch (error) {
    throw new Error(`${what}: ${reasonOf(error)}`, { cause: undefined });
  }
  if (response.ok) return;
  const failed = `${what}: it answered ${response.status}`;
  const passes = response.status >= 500 || response.status === 408 || response.status === 429;
  if (passes) throw new Error(failed);
  throw terminal(FailureType.BadInput, failed, 'Correct AGENTSWARM_WEBHOOK_URL and AGENTSWARM_WEBHOOK_TOKEN.');
}

/** What undici says lies in the cause; neither holds the URL. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error) return (cause as NodeJS.ErrnoException).code ?? cause.message;
  return error.name === 'TimeoutError' ? `no answer in ${ANSWER_MS / 1_000} s` : error.message;
}
