/** Files that start servers, workers and sandboxes take the longest and mostly wait: they go first, the others fill in. */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const LONG = /\/test\/(?:faults|e2e|cli|examples|package\.|histories\.|infra\/pack)/;

export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification): boolean => LONG.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}
