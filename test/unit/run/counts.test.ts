import { expect, it } from 'vitest';
import { add, countsLine, playwrightCounts, vitestCounts } from '../../run/counts.ts';

const vitest = (over: object = {}) => ({
  numPassedTests: 5,
  numFailedTests: 0,
  numPendingTests: 2,
  numTodoTests: 1,
  testResults: [{ status: 'passed', assertionResults: [{}] }],
  ...over,
});
const playwright = (over: object = {}, errors: unknown[] = []) => ({
  stats: { expected: 3, unexpected: 0, flaky: 0, skipped: 1, ...over },
  errors,
});

it('takes the numbers of both runners', () => {
  expect(vitestCounts(vitest(), 0)).toEqual({ passed: 5, failed: 0, skipped: 3 });
  expect(playwrightCounts(playwright(), 0)).toEqual({ passed: 3, failed: 0, skipped: 1 });
  expect(countsLine(add(vitestCounts(vitest(), 0), playwrightCounts(playwright({ unexpected: 2 }), 1)))).toBe(
    '8 passed, 2 failed, 4 skipped',
  );
});

it('never takes a broken run for a good one', () => {
  expect(vitestCounts(undefined, 0).failed).toBe(1);
  expect(vitestCounts(vitest(), 1).failed).toBe(1);
  expect(vitestCounts(vitest({ testResults: [{ status: 'failed', assertionResults: [] }] }), 1).failed).toBe(1);
  expect(playwrightCounts({}, 0).failed).toBe(1);
  expect(playwrightCounts(playwright(), 1).failed).toBe(1);
  expect(playwrightCounts(playwright({}, ['broken config']), 1).failed).toBe(1);
  expect(playwrightCounts(playwright({ flaky: 1 }), 0).failed).toBe(1);
});
