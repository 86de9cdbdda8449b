/** What planners tell each other of the workers of their run. */
import { z } from 'zod';
import { Chain, TaskId } from '../base/ids.ts';

const Count = z.number().int().min(1);
const Round = z.number().int().min(0);

/** In a `control` signal, from a planner to one below it. */
export const WorkersWord = z.object({ round: Round, most: Count, held: Count });

/** Signal `workers`, from a planner to the one above it; what it says is in the decision `workers`. */
export const WorkersReport = z.object({
  sender: Chain,
  /** The task that the sender divides. */
  taskId: TaskId,
  number: Count,
  round: Round,
  wants: Count,
  holds: Count,
});
export type WorkersReport = z.infer<typeof WorkersReport>;
