/** Counts of a test run, taken from the runners' own reports: a report that is missing or does not add up is a failure. */
import { z } from 'zod';

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}
export const NONE: Counts = { passed: 0, failed: 0, skipped: 0 };

export const add = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
});
export const countsLine = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`;

const count = z.int().min(0);
const VitestReport = z.object({
  numPassedTests: count,
  numFailedTests: count,
  numPendingTests: count,
  numTodoTests: count.default(0),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.unknown()) })),
});
const PlaywrightReport = z.object({
  stats: z.object({ expected: count, unexpected: count, flaky: count, skipped: count }),
  errors: z.array(z.unknown()),
});

/** A runner that failed without a failed test (a file that cannot be loaded, a crash) counts as one. */
const withExit = (counts: Counts, exitCode: number): Counts =>
  exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;

/** @param report parsed JSON of vitest's json reporter, undefined when there is none */
export const vitestCounts = (report: unknown, exitCode: number): Counts => {
  const parsed = VitestReport.safeParse(report);
  if (!parsed.success) return { ...NONE, failed: 1 };
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = parsed.data;
  // A file that fails before its tests are known fails no test; it must not pass either.
  const brokenFiles = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const counts = {
    passed: numPassedTests,
    failed: numFailedTests + brokenFiles.length,
    skipped: numPendingTests + numTodoTests,
  };
  return withExit(counts, exitCode);
};

/** @param report parsed JSON of Playwright's json reporter; a flaky test is a failed one: tests here are deterministic */
export const playwrightCounts = (report: unknown, exitCode: number): Counts => {
  const parsed = PlaywrightReport.safeParse(report);
  if (!parsed.success) return { ...NONE, failed: 1 };
  const { expected, unexpected, flaky, skipped } = parsed.data.stats;
  const counts = { passed: expected, failed: unexpected + flaky + parsed.data.errors.length, skipped };
  return withExit(counts, exitCode);
};
