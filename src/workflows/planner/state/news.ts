/**
 * What the planner's model has not been told yet, in bounds: it is carried through continue-as-new and goes into
 * an activity's input. What a brief would cut anyway is cut here. No await; plain JSON.
 */
import type { PlanningNews } from '../../../shared/contracts/activities.ts';
import type { Handoff } from '../../../shared/contracts/task.ts';
import { boundedHandoff } from '../../../shared/task/handoff-size.ts';
import { RUN_TEXT } from '../../../shared/planner/text.ts';

export type CarriedNews = Omit<PlanningNews, 'open'> & {
  /** How many of the events want an answer: failures, conflicts, refusals. */
  troubles: number;
};

const MAX_HANDOFFS = 60;
const HANDOFF_CHARS = 12_000;
/** Of all handoffs together. */
const HANDOFFS_CHARS = 90_000;
/** Names, metrics and punctuation of one handoff. */
const HANDOFF_FRAME_CHARS = 500;
const MAX_EVENTS = 200;
const EVENTS_CHARS = 20_000;
const MAX_STEERING = 20;

/** The oldest gives way where there is too much. */
export class News {
  private news: CarriedNews;

  constructor(carried: CarriedNews = { handoffs: [], events: [], steering: [], troubles: 0 }) {
    this.news = carried;
  }

  toJSON(): CarriedNews {
    return this.news;
  }

  get counts(): { handoffs: number; troubles: number; steering: number } {
    const { handoffs, troubles, steering } = this.news;
    return { handoffs: handoffs.length, troubles, steering: steering.length };
  }

  handoff(taskId: string, attempt: number, handoff: Handoff): void {
    this.news.handoffs.push({ taskId, attempt, handoff: boundedHandoff(handoff, HANDOFF_CHARS) });
    this.bound();
  }

  event(text: string): void {
    this.news.events.push(text);
    this.bound();
  }

  /** An event that wants an answer of the planner's model. */
  trouble(text: string): void {
    this.news.troubles += 1;
    this.event(text);
  }

  /** People have taken so many troubles into their own hands: they alone are no reason to plan. */
  answered(troubles: number): void {
    this.news.troubles = Math.max(0, this.news.troubles - troubles);
  }

  steering(text: string): void {
    this.news.steering.push(text);
    this.bound();
  }

  /** Takes all of it out. */
  take(): CarriedNews {
    const taken = this.news;
    this.news = { handoffs: [], events: [], steering: [], troubles: 0 };
    return taken;
  }

  /** What was taken and did not reach the model stands before what came since. */
  giveBack(taken: CarriedNews): void {
    const { news } = this;
    news.handoffs.unshift(...taken.handoffs);
    news.events.unshift(...taken.events);
    news.steering.unshift(...taken.steering);
    news.troubles += taken.troubles;
    this.bound();
  }

  private bound(): void {
    const { news } = this;
    const tooMany = news.handoffs.length - MAX_HANDOFFS;
    if (tooMany > 0) {
      for (const { taskId } of news.handoffs.splice(0, tooMany)) news.events.push(RUN_TEXT.handoffLeftOut(taskId));
    }
    if (chars(news.handoffs) > HANDOFFS_CHARS) {
      const each = Math.floor(HANDOFFS_CHARS / news.handoffs.length) - HANDOFF_FRAME_CHARS;
      news.handoffs = news.handoffs.map((one) => ({ ...one, handoff: boundedHandoff(one.handoff, each) }));
    }
    if (news.events.length > MAX_EVENTS) news.events.splice(0, news.events.length - MAX_EVENTS);
    while (news.events.length > 1 && chars(news.events) > EVENTS_CHARS) news.events.shift();
    if (news.steering.length > MAX_STEERING) news.steering.splice(0, news.steering.length - MAX_STEERING);
  }
}

const chars = (value: unknown): number => JSON.stringify(value).length;
