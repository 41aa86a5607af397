import { describe, expect, it } from 'vitest';
import { cellQuotas } from '../../../infra/cell-quotas.ts';
import {
  CELL_QUOTAS,
  CELL_SESSIONS_MAX,
  type CellQuota,
  cellCeiling,
  describeCeiling,
  QUOTAS,
  SESSION_LOAD,
  SINGLE_QUOTAS,
} from '../../../shared/quotas.ts';

const quota = (id: string, value: number, raisedTo: number | null, used: number): CellQuota => ({
  scope: 'cell',
  id,
  value,
  raisedTo,
  unit: '/s',
  perSession: () => used,
});

describe('ceiling of a cell', () => {
  it('is the design bound where no quota is tighter', () => {
    expect(cellCeiling([quota('wide', 10_000, null, 1)], SESSION_LOAD, false)).toEqual({
      sessions: CELL_SESSIONS_MAX,
      boundBy: null,
    });
  });

  it('is bound by the tightest, rounded down', () => {
    const quotas = [quota('a', 100, null, 1), quota('b', 100, null, 3), quota('c', 100, null, 2)];
    expect(cellCeiling(quotas, SESSION_LOAD, false)).toEqual({ sessions: 33, boundBy: 'b' });
  });

  it('counts a raise only when it was granted', () => {
    const quotas = [quota('tight', 6, 500, 1), quota('next', 200, null, 1)];
    expect(cellCeiling(quotas, SESSION_LOAD, false)).toEqual({ sessions: 6, boundBy: 'tight' });
    expect(cellCeiling(quotas, SESSION_LOAD, true)).toEqual({ sessions: 200, boundBy: 'next' });
  });

  it('falls with the load', () => {
    const busier = { ...SESSION_LOAD, messagesPerSecond: SESSION_LOAD.messagesPerSecond * 10 };
    expect(cellCeiling(CELL_QUOTAS, busier, true).sessions).toBeLessThan(
      cellCeiling(CELL_QUOTAS, SESSION_LOAD, true).sessions,
    );
  });

  it('of the topology, as synthesis prints it', () => {
    const asGiven = cellCeiling(cellQuotas(), SESSION_LOAD, false);
    const raised = cellCeiling(cellQuotas(), SESSION_LOAD, true);
    expect(asGiven).toEqual({ sessions: 6, boundBy: 'Fargate on-demand vCPUs' });
    expect(raised).toEqual({ sessions: 3_896, boundBy: 'throttle of the runner WebSocket API (ours)' });
    expect(describeCeiling(cellQuotas(), SESSION_LOAD)).toEqual([
      'cell ceiling as AWS gives an account: 6 live sessions (bound by Fargate on-demand vCPUs)',
      '  to be raised: Fargate on-demand vCPUs, 6 to 5000 vCPU',
      'cell ceiling with these raised: 3896 live sessions (bound by throttle of the runner WebSocket API (ours))',
    ]);
  });

  it('takes in our own limits beside those of AWS', () => {
    expect(cellQuotas().length).toBe(CELL_QUOTAS.length + 2);
  });
});

describe('quotas', () => {
  it('are listed once', () => {
    const ids = QUOTAS.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(SINGLE_QUOTAS.map((one) => [one.id, one] as const))('%s: our limit stays inside', (_, { value, uses }) => {
    expect(uses).toBeLessThanOrEqual(value);
    expect(uses).toBeGreaterThan(0);
  });
});
