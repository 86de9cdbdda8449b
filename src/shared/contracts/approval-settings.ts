/** What a run waits for a person for, and how it asks. */
import { z } from 'zod';

/** Each plan before its tasks start; each task's commit before it is merged. */
export const ApprovalKind = z.enum(['plan', 'merge']);
export type ApprovalKind = z.infer<typeof ApprovalKind>;

export const Approvals = z.array(ApprovalKind).max(2);

export const ApprovalRules = z.strictObject({
  /** After so long a person is reminded, then after twice as long each time, at least once a day. */
  remindMinutes: z.number().min(0.01).max(10_080),
  /** What nobody has decided on by then is rejected. Absent: it waits for ever. */
  rejectAfterMinutes: z.number().min(0.01).max(525_600).optional(),
});
export type ApprovalRules = z.infer<typeof ApprovalRules>;
