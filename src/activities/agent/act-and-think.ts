/**
 * One activity for the tools of a turn and the call that follows: half the round trips between workflow and
 * server. What the tools gave is never lost to a model that does not answer.
 */
import { Context } from '@temporalio/activity';
import type { SandboxActivities, TurnActivities } from '../../shared/contracts/activities.ts';
import type { Thinker } from '../llm/think.ts';
import type { Log } from '../support/log.ts';

export type TurnDeps = { act: SandboxActivities['act']; think: Thinker; log: Log };

export function createTurnActivities({ act, think, log }: TurnDeps): TurnActivities {
  return {
    async actAndThink(request) {
      const acted = await act(request.act);
      try {
        return { acted, answer: await think(request.think, [{ role: 'tool', results: acted.results }]) };
      } catch (error) {
        if (Context.current().cancellationDetails?.cancelRequested === true) throw error;
        // `think` by itself says what is wrong, with deadlines and retries of its own.
        log.warn({ turn: request.think.turn, error: String(error) }, 'tools ran; the call after them was not answered');
        return { acted };
      }
    },
  };
}
