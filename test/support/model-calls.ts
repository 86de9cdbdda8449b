/** What was asked of the model, beside what histories say was answered: for "paid once". */
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter, fromPayloadsAtIndex } from '@temporalio/common';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { z } from 'zod';
import type { LoggedRequest } from '../../examples/scripted-model/request-log.ts';
import { ThinkRequest, ThinkResult } from '../../src/shared/contracts/agent.ts';

/** What an activity gets and gives that does something before it asks. */
const Both = z.object({ think: ThinkRequest });
const Answered = z.object({ answer: ThinkResult.optional() });

export type RunHistory = { workflowId: string; runId: string; type: string; history: History };

/** Every run of every workflow of a task queue, with its history, in the order of their starts. */
export async function historiesOf(client: Client, taskQueue: string): Promise<RunHistory[]> {
  const all: (RunHistory & { startTime: number })[] = [];
  for await (const { workflowId, runId, type, startTime } of client.workflow.list({
    query: `TaskQueue = '${taskQueue}'`,
  })) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    all.push({ workflowId, runId, type, history, startTime: startTime.getTime() });
  }
  return all.sort((a, b) => a.startTime - b.startTime);
}

/** When each answer was recorded (ms since the epoch), by Idempotency-Key. */
export function answersInHistory(histories: readonly RunHistory[]): Map<string, number[]> {
  const answers = new Map<string, number[]>();
  for (const { history } of histories) {
    const keys = new Map<string, string>();
    const both = new Map<string, boolean>();
    for (const event of history.events ?? []) {
      const scheduled = event.activityTaskScheduledEventAttributes;
      const name = scheduled?.activityType?.name;
      if (name === 'think' || name === 'actAndThink' || name === 'briefAndThink') {
        const input: unknown = fromPayloadsAtIndex(defaultPayloadConverter, 0, scheduled?.input?.payloads);
        const { agent, turn } = name === 'think' ? ThinkRequest.parse(input) : Both.parse(input).think;
        both.set(String(event.eventId), name !== 'think');
        keys.set(String(event.eventId), `${agent.workflowId}/${agent.firstRunId}/${turn}`);
      }
      const completed = event.activityTaskCompletedEventAttributes;
      const id = String(completed?.scheduledEventId);
      const key = keys.get(id);
      if (key === undefined) continue;
      if (both.get(id) === true) {
        const result: unknown = fromPayloadsAtIndex(defaultPayloadConverter, 0, completed?.result?.payloads);
        if (Answered.parse(result).answer === undefined) continue;
      }
      const at = Number(event.eventTime?.seconds ?? 0) * 1_000 + Number(event.eventTime?.nanos ?? 0) / 1e6;
      answers.set(key, [...(answers.get(key) ?? []), at]);
    }
  }
  return answers;
}

/** Requests that were answered whole, by Idempotency-Key, oldest first. */
export function answeredRequests(log: readonly LoggedRequest[]): Map<string, LoggedRequest[]> {
  const answered = new Map<string, LoggedRequest[]>();
  for (const request of log) {
    if (request.status !== 200 || request.aborted || request.idempotencyKey === null) continue;
    answered.set(request.idempotencyKey, [...(answered.get(request.idempotencyKey) ?? []), request]);
  }
  return answered;
}
