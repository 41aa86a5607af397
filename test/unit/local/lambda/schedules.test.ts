import { describe, expect, it } from 'vitest';
import { scheduledEvent } from '../../../../local/lambda/scheduled-event.ts';
import { runSchedules } from '../../../../local/lambda/schedules.ts';
import type { InvokeResult, LambdaInvoker } from '../../../../local/lambda/types.ts';
import { systemRandom } from '../../../../shared/clock.ts';
import { ManualClock } from '../manual-clock.ts';

const everyMinute = { name: 'reap-every-minute', everyMs: 60_000, function: 'reap' } as const;

function recorder(answer: () => Promise<InvokeResult>) {
  const events: unknown[] = [];
  const lambda: LambdaInvoker = {
    invoke: (_name, event) => {
      events.push(event);
      return answer();
    },
  };
  return { lambda, events };
}
const fine = async (): Promise<InvokeResult> => ({ ok: true, payload: null });

describe('runSchedules', () => {
  it('fires every period with the scheduled event of EventBridge', async () => {
    const clock = new ManualClock(Date.parse('2026-03-01T10:00:00.123Z'));
    const { lambda, events } = recorder(fine);
    const schedules = runSchedules([everyMinute], { lambda, clock, random: systemRandom });
    await clock.advance(59_999);
    expect(events).toEqual([]);
    await clock.advance(120_001);
    expect(events).toHaveLength(3);
    expect(events[0]).toMatchObject({
      version: '0',
      source: 'aws.events',
      'detail-type': 'Scheduled Event',
      time: '2026-03-01T10:01:00Z',
      resources: ['arn:aws:events:us-east-1:000000000000:rule/reap-every-minute'],
      detail: {},
    });
    await schedules.stop();
  });

  it('never overlaps, goes on after a failure and stops cleanly', async () => {
    const clock = new ManualClock();
    const releases: ((result: InvokeResult) => void)[] = [];
    const { lambda, events } = recorder(() => new Promise((resolve) => releases.push(resolve)));
    const logged: string[] = [];
    const ports = { lambda, clock, random: systemRandom, log: (message: string) => logged.push(message) };
    const schedules = runSchedules([everyMinute], ports);
    await clock.advance(300_000);
    expect(events).toHaveLength(1);
    releases.shift()?.({ ok: false, kind: 'error', errorType: 'Error', message: 'no' });
    await clock.advance(60_000);
    expect(events).toHaveLength(2);
    expect(logged[0]).toContain('schedule failed');
    const stopping = schedules.stop();
    releases.shift()?.({ ok: true, payload: null });
    await stopping;
    await clock.advance(300_000);
    expect(events).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });
});

describe('event shape', () => {
  it('is that of EventBridge', () => {
    const event = scheduledEvent({ clock: new ManualClock(999), random: systemRandom }, 'every-minute');
    expect(event).toMatchObject({
      version: '0',
      source: 'aws.events',
      'detail-type': 'Scheduled Event',
      region: 'us-east-1',
      time: '1970-01-01T00:00:00Z',
      resources: [expect.stringMatching(/rule\/every-minute$/)],
      detail: {},
    });
  });
});
