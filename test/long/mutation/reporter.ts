/** Writes what a test run found as JSON: to tell a test that fails from a file that cannot even be loaded. */
import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/** Names the file that is written. */
export const FINDINGS_VARIABLE = 'AGENTSWARM_MUTANT_FINDINGS';

export type Findings = {
  passed: number;
  /** Tests that failed, in the order of their files. */
  failed: { test: string; message: string }[];
  /** Errors outside of tests: of a hook, of loading a file, or that nobody awaited. */
  errors: string[];
};

export default class FindingsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly { message: string }[]): void {
    const findings: Findings = {
      passed: 0,
      failed: [],
      errors: unhandled.map(({ message }) => message),
    };
    for (const module of modules) {
      findings.errors.push(...module.errors().map(({ message }) => message));
      for (const suite of module.children.allSuites()) findings.errors.push(...suite.errors().map((e) => e.message));
      for (const test of module.children.allTests()) {
        const { state, errors } = test.result();
        if (state === 'passed') findings.passed++;
        if (state === 'failed') findings.failed.push({ test: test.fullName, message: errors?.[0]?.message ?? '' });
      }
    }
    const file = process.env[FINDINGS_VARIABLE];
    if (file !== undefined) writeFileSync(file, JSON.stringify(findings));
  }
}
