/**
 * What the planner's model has not been told yet, in bounds: it is carried through continue-as-new and goes into
 * an activity's input. What a brief would cut anyway is cut here. No await; plain JSON.
 */
import type { PlanningNews } from '../../../shared/contracts/activities.ts';
import type { Handoff } from '../../../shared/contracts/task.ts';
import { boundedHandoff } from '../../../shared/task/handoff-size.ts';
import { RUN_TEXT } from '../../../shared/planner/text.ts';

export type News = Omit<PlanningNews, 'open'> & {
  /** How many of the events want an answer: failures, conflicts, refusals. */
  troubles: number;
};

const MAX_HANDOFFS = 60;
const HANDOFF_CHARS = 12_000;
/** Of all handoffs together. */
const HANDOFFS_CHARS = 90_000;
const MAX_EVENTS = 200;
const EVENTS_CHARS = 20_000;
const MAX_STEERING = 20;

export const noNews = (): News => ({ handoffs: [], events: [], steering: [], troubles: 0 });

/** Adds what happened; the oldest gives way where there is too much. */
export const News = {
  handoff(news: News, taskId: string, attempt: number, handoff: Handoff): void {
    news.handoffs.push({ taskId, attempt, handoff: boundedHandoff(handoff, HANDOFF_CHARS) });
    bound(news);
  },
  event(news: News, text: string): void {
    news.events.push(text);
    bound(news);
  },
  trouble(news: News, text: string): void {
    news.troubles += 1;
    News.event(news, text);
  },
  /** People have taken so many troubles into their own hands: they alone are no reason to plan. */
  answered(news: News, troubles: number): void {
    news.troubles = Math.max(0, news.troubles - troubles);
  },
  steering(news: News, text: string): void {
    news.steering.push(text);
    bound(news);
  },
  /** What was taken and not told stands before what came since. */
  untold(news: News, taken: Omit<News, 'open'>): void {
    news.handoffs.unshift(...taken.handoffs);
    news.events.unshift(...taken.events);
    news.steering.unshift(...taken.steering);
    news.troubles += taken.troubles;
    bound(news);
  },
};

function bound(news: News): void {
  const left = news.handoffs.length - MAX_HANDOFFS;
  if (left > 0) {
    for (const { taskId } of news.handoffs.splice(0, left)) news.events.push(RUN_TEXT.handoffLeftOut(taskId));
  }
  if (chars(news.handoffs) > HANDOFFS_CHARS) {
    const each = Math.floor(HANDOFFS_CHARS / news.handoffs.length) - HANDOFF_FRAME_CHARS;
    news.handoffs = news.handoffs.map((told) => ({ ...told, handoff: boundedHandoff(told.handoff, each) }));
  }
  if (news.events.length > MAX_EVENTS) news.events.splice(0, news.events.length - MAX_EVENTS);
  while (news.events.length > 1 && chars(news.events) > EVENTS_CHARS) news.events.shift();
  if (news.steering.length > MAX_STEERING) news.steering.splice(0, news.steering.length - MAX_STEERING);
}

/** Names, metrics and punctuation of one handoff. */
const HANDOFF_FRAME_CHARS = 500;

const chars = (value: unknown): number => JSON.stringify(value).length;
