import { describe, expect, test } from 'vitest';
import {
  clampCounters,
  closeOutRow,
  quarantined,
  sameRow,
  usageRowOf,
} from '../../../../functions/metering/usage-rows.ts';
import { EVENT_TYPES, RunnerEventSchema } from '../../../../shared/events.ts';
import { UsageRow, ZERO_USAGE } from '../../../../shared/usage.ts';
import { controlPlanePorts, startedSession } from '../../../fakes/control-plane-ports.ts';
import { fixture } from '../../shared/fixtures.ts';

const HOUR = 3_600_000;

describe('what is billed never exceeds what the platform saw', () => {
  const rows: [string, [number, number, number], number | null, number, [number, number, number], number][] = [
    ['all of it fits', [10, 20, 5], 1_000, 1_100, [10, 20, 5], 0],
    ['exactly', [50, 30, 20], 1_000, 1_100, [50, 30, 20], 0],
    ['agent first, then waiting, then frozen', [60, 60, 60], 1_000, 1_100, [60, 40, 0], 80],
    ['forged', [HOUR, 0, 0], 1_000, 1_100, [100, 0, 0], HOUR - 100],
    ['from the future: a clock that went back', [10, 10, 10], 1_000, 900, [0, 0, 0], 30],
    ['before an assignment nothing', [10, 0, 0], null, 1_100, [0, 0, 0], 10],
    ['nothing of nothing', [0, 0, 0], 1_000, 1_100, [0, 0, 0], 0],
  ];
  test.each(rows)('%s', (_name, [agentMs, waitingMs, frozenMs], assignedAtMs, nowMs, expected, clampedMs) => {
    const counted = { ...ZERO_USAGE, terminalBytes: 7, agentMs, waitingMs, frozenMs };
    const clamped = clampCounters(counted, assignedAtMs, nowMs);
    expect([clamped.counters.agentMs, clamped.counters.waitingMs, clamped.counters.frozenMs]).toEqual(expected);
    expect(clamped.clampedMs).toBe(clampedMs);
    expect(clamped.counters.terminalBytes).toBe(7);
  });
});

describe('rows of the ledger', () => {
  const setUp = async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    const meta = await ports.sessions.meta(ref);
    if (meta === null) throw new Error('no session');
    const nowMs = ports.clock.nowMs();
    return { billing: { ref, meta, epoch: 1, assignedAtMs: nowMs - HOUR, nowMs } };
  };
  const recorded = (type: string) => {
    const { seq: _seq, ...event } = fixture('events', type);
    return RunnerEventSchema.parse(event);
  };

  test('ticks, last ticks and model calls make one each, and say whose they are', async () => {
    const { billing } = await setUp();
    const tick = recorded('usage_tick');
    const last = RunnerEventSchema.parse({ ...tick, final: true });
    const puts = [tick, last, recorded('model_usage')].map((event) => usageRowOf(event, 9, billing));
    const kinds = puts.map((put) => {
      const keyed = new Set(['pk', 'sk', 'dayKey', 'clampedMs']);
      return UsageRow.parse(Object.fromEntries(Object.entries(put?.item ?? {}).filter(([attr]) => !keyed.has(attr))))
        .kind;
    });
    expect(kinds).toEqual(['tick', 'final', 'model']);
    expect(new Set(puts.map((put) => put?.item.sk)).size).toBe(3);
  });

  test('no other event makes one', async () => {
    const { billing } = await setUp();
    for (const type of EVENT_TYPES.filter((name) => name !== 'usage_tick' && name !== 'model_usage'))
      expect(usageRowOf(recorded(type), 1, billing), type).toBeNull();
  });

  test('a close-out bills what was proven, however long ago that was', async () => {
    const { billing } = await setUp();
    const meta = { ...billing.meta, usage: { ...ZERO_USAGE, agentMs: HOUR / 2 } };
    expect(closeOutRow({ ...billing, meta }, 5, 9).item).toMatchObject({
      kind: 'close_out',
      source: 'reaper',
      agentMs: HOUR / 2,
      clampedMs: 0,
    });
  });

  test('a repeat is the same whatever the platform adds; other values are set aside under a key of their own', async () => {
    const { billing } = await setUp();
    const put = usageRowOf(recorded('usage_tick'), 9, billing);
    const again = usageRowOf(recorded('usage_tick'), 12, { ...billing, nowMs: billing.nowMs + 5 });
    if (put === null || again === null) throw new Error('no row');
    expect(sameRow(put.item, again)).toBe(true);
    expect(sameRow({ ...put.item, agentMs: 1 }, again)).toBe(false);
    const aside = quarantined(again, 'd'.repeat(64));
    expect(aside.item).toMatchObject({ quarantined: true, sk: `QUARANTINE#${put.item.sk}#${'d'.repeat(16)}` });
    expect(aside.conditions).toEqual([]);
  });
});
