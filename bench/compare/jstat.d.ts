/** The part of jstat that is used here; the package has no types of its own. */
declare module 'jstat' {
  const jStat: {
    mean(values: readonly number[]): number;
    /** The standard deviation; with `sample`, of a sample (n − 1). */
    stdev(values: readonly number[], sample: boolean): number;
    studentt: {
      /** The quantile at the probability `p` of Student's t distribution. */
      inv(p: number, degreesOfFreedom: number): number;
    };
  };
  export default jStat;
}
