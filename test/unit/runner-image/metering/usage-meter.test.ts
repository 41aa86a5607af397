import { describe, expect, it } from 'vitest';
import { timeKindOf, UsageMeter } from '../../../../runner-image/src/metering/usage-meter.ts';
import { SESSION_STATES } from '../../../../shared/session.ts';
import { ZERO_USAGE } from '../../../../shared/usage.ts';

describe('usage meter', () => {
  it('bills agent time only while the agent runs', () => {
    const meter = new UsageMeter(ZERO_USAGE, 0);
    meter.enter('starting_provider', false, 100);
    meter.enter('running', false, 1_000);
    meter.enter('waiting_for_approval', false, 1_500);
    meter.enter('running', false, 1_700);
    meter.enter('running', true, 2_000);
    meter.enter('running', false, 5_000);
    meter.enter('paused_by_human', true, 5_010);
    meter.enter('stopping', false, 9_000);
    expect(meter.counters(20_000, 77)).toEqual({
      agentMs: 500 + 300 + 10,
      waitingMs: 200,
      frozenMs: 3_000,
      terminalBytes: 77,
      filesTouched: 0,
      commands: 0,
    });
  });

  it('is cumulative, also over a restart of the runner', () => {
    const meter = new UsageMeter({ ...ZERO_USAGE, agentMs: 40, commands: 2 }, 0);
    meter.enter('running', false, 0);
    expect(meter.counters(10.6, 0)).toMatchObject({ agentMs: 50, commands: 2 });
    expect(meter.counters(20.6, 0)).toMatchObject({ agentMs: 60 });
  });

  it('counts each file once', () => {
    const meter = new UsageMeter(ZERO_USAGE, 0);
    meter.touched(['a', 'b']);
    meter.touched(['b', 'c']);
    meter.command();
    expect(meter.counters(0, 0)).toMatchObject({ filesTouched: 3, commands: 1 });
  });

  it('bills nothing in any state but running and waiting', () => {
    const billed = SESSION_STATES.filter((state) => timeKindOf(state, false) !== 'idle');
    expect(billed).toEqual(['running', 'waiting_for_approval']);
  });
});
