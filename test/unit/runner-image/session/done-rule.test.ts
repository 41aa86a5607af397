import { describe, expect, it } from 'vitest';
import { decideDone, decideTime, type Progress } from '../../../../runner-image/src/session/done-rule.ts';
import { Lifetime } from '../../../../runner-image/src/session/lifetime.ts';
import { DONE_GRACE_MS } from '../../../../shared/limits.ts';
import { manualClock } from '../manual-clock.ts';

const done: Progress = {
  endWhenDone: true,
  prompts: 1,
  turnsDone: 1,
  isWorking: false,
  isScriptPlayed: null,
  isLed: false,
  lastActivityMs: 1_000,
};

describe('decideDone', () => {
  it.each<[string, Partial<Progress>]>([
    ['nobody asked for it', { endWhenDone: false }],
    ['nothing was asked', { prompts: 0 }],
    ['a prompt is not answered', { prompts: 2 }],
    ['it works', { isWorking: true }],
    ['the script has more turns', { isScriptPlayed: false }],
    ['a person leads', { isLed: true }],
  ])('goes on while %s', (_name, over) => expect(decideDone({ ...done, ...over }, 1_000_000)).toEqual({ kind: 'no' }));

  it('waits for the grace, then ends', () => {
    expect(decideDone(done, 1_000)).toEqual({ kind: 'wait', atMs: 1_000 + DONE_GRACE_MS });
    expect(decideDone({ ...done, isScriptPlayed: true }, 1_000 + DONE_GRACE_MS)).toEqual({ kind: 'done' });
  });
});

describe('decideTime', () => {
  const bounds = { startedMs: 0, lastActivityMs: 0, maxDurationMs: 3_600_000, idleMs: 1_200_000 };
  const none = new Set<'idle' | 'max_duration'>();
  it.each([
    [{ ...bounds, warned: none }, 0, { kind: 'fine', atMs: 900_000 }],
    [{ ...bounds, warned: none }, 900_000, { kind: 'warn', why: 'idle', atMs: 1_200_000 }],
    [{ ...bounds, warned: new Set(['idle'] as const) }, 900_000, { kind: 'fine', atMs: 1_200_000 }],
    [{ ...bounds, warned: none }, 1_200_000, { kind: 'stop', why: 'idle' }],
    [
      { ...bounds, lastActivityMs: 3_500_000, warned: none },
      3_500_000,
      { kind: 'warn', why: 'max_duration', atMs: 3_600_000 },
    ],
    [{ ...bounds, lastActivityMs: 3_599_999, warned: none }, 3_600_000, { kind: 'stop', why: 'max_duration' }],
    [{ ...bounds, idleMs: 10_000, warned: none }, 5_000, { kind: 'warn', why: 'idle', atMs: 10_000 }],
  ] as const)('%o at %i', (given, nowMs, expected) => expect(decideTime(given, nowMs)).toEqual(expected));
});

describe('Lifetime', () => {
  const start = (over: { endWhenDone?: boolean; isLed?: () => boolean } = {}) => {
    const clock = manualClock();
    const log: string[] = [];
    const lifetime = new Lifetime({
      clock,
      session: { maxDurationMs: 100_000, idleMs: 20_000, endWhenDone: over.endWhenDone ?? true },
      ranMs: 0,
      isScriptPlayed: () => null,
      isLed: over.isLed ?? (() => false),
      onDone: () => log.push('done'),
      onWarn: (why) => log.push(`warn ${why}`),
      onStop: (why) => log.push(`stop ${why}`),
    });
    return { clock, log, lifetime };
  };

  it('is done a grace after the last turn', () => {
    const { clock, log, lifetime } = start();
    lifetime.prompted();
    lifetime.turnStarted();
    clock.advance(5_000);
    lifetime.turnFinished();
    clock.advance(DONE_GRACE_MS - 1);
    expect(log).toEqual([]);
    clock.advance(1);
    expect(log).toEqual(['done']);
  });

  it('starts the grace again when something happens, and asks again who leads', () => {
    let isLed = true;
    const { clock, log, lifetime } = start({ isLed: () => isLed });
    lifetime.prompted();
    lifetime.turnFinished();
    clock.advance(DONE_GRACE_MS * 3);
    expect(log).toEqual([]);
    isLed = false;
    lifetime.progressed();
    clock.advance(DONE_GRACE_MS - 1);
    lifetime.progressed();
    clock.advance(DONE_GRACE_MS - 1);
    expect(log).toEqual([]);
    clock.advance(1);
    expect(log).toEqual(['done']);
  });

  it('warns once and stops an idle session; output keeps it alive', () => {
    const { clock, log, lifetime } = start();
    clock.advance(9_000);
    lifetime.active();
    clock.advance(19_000);
    expect(log).toEqual(['warn idle']);
    clock.advance(1_000);
    expect(log).toEqual(['warn idle', 'stop idle']);
  });

  it('stops a session that never rests after its longest time', () => {
    const { clock, log, lifetime } = start();
    for (let passed = 0; passed < 100_000; passed += 5_000) {
      lifetime.active();
      clock.advance(5_000);
    }
    expect(log).toEqual(['warn max_duration', 'stop max_duration']);
    lifetime.stop();
  });
});
