/** A step of the set-up that could not be done: what was tried, why it failed, what the person can do. */
export class StepError extends Error {
  /**
   * @param {string} step what was being done, e.g. "bubblewrap"
   * @param {string} why the cause, in one or more lines
   * @param {string} remedy what the person can do
   * @param {unknown} [cause]
   */
  constructor(step, why, remedy, cause) {
    super(`${step}: ${why}\n  To mend it: ${remedy}`, { cause });
    this.name = 'StepError';
    this.step = step;
    this.why = why;
    this.remedy = remedy;
  }
}
