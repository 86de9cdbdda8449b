/** What may be spent: tokens (input and output together) and US dollars. What is absent is not limited. */
import { z } from 'zod';

export const Budget = z.strictObject({
  tokens: z.number().nonnegative().optional(),
  usd: z.number().nonnegative().optional(),
});
export type Budget = z.infer<typeof Budget>;

export type Spent = { tokens: number; usd: number };
