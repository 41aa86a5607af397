import { describe, expect, it } from 'vitest';
import { NO_PROGRESS } from '../../../../runner-image/src/checkpoint/manifest.ts';
import { boundOf } from '../../../../runner-image/src/session/hurry.ts';
import { isLeaving, savedEnding } from '../../../../runner-image/src/session/leaving.ts';
import { Lifetime } from '../../../../runner-image/src/session/lifetime.ts';
import { Prompts } from '../../../../runner-image/src/session/prompts.ts';
import { countsFrom } from '../../../../runner-image/src/session/session-progress.ts';
import {
  DONE_GRACE_MS,
  DRAIN_MS,
  DRAIN_RESERVE_MS,
  DRAIN_STEP_SHARE,
  DRAIN_STORE_SHARE,
  END_BOOT_RETURN_MS,
  END_LAST_ACK_MS,
  END_PROMPTS_MS,
  END_STEP_MS,
  END_STORE_MS,
} from '../../../../shared/limits.ts';
import { manualClock } from '../manual-clock.ts';

describe('the time of an end', () => {
  it('is bounded by each step alone when there is no hurry', () => {
    expect(boundOf(END_STORE_MS, DRAIN_STORE_SHARE, null, 0)).toBe(END_STORE_MS);
  });

  it('fits into a drain even when every step takes as long as it may', () => {
    const untilMs = DRAIN_MS - DRAIN_RESERVE_MS;
    let nowMs = 0;
    const steps = [
      ...[END_BOOT_RETURN_MS, END_PROMPTS_MS, END_STEP_MS, END_STEP_MS].map(
        (limitMs) => [limitMs, DRAIN_STEP_SHARE] as const,
      ),
      ...[END_STEP_MS, END_STEP_MS].map((limitMs) => [limitMs, DRAIN_STEP_SHARE] as const),
      [END_STORE_MS, DRAIN_STORE_SHARE] as const,
      ...[END_STEP_MS, END_STEP_MS, END_STEP_MS, END_STEP_MS].map((limitMs) => [limitMs, DRAIN_STEP_SHARE] as const),
      [END_LAST_ACK_MS, DRAIN_STORE_SHARE] as const,
      [END_LAST_ACK_MS, 1] as const,
    ];
    for (const [limitMs, share] of steps) nowMs += boundOf(limitMs, share, untilMs, nowMs);
    expect(nowMs).toBeLessThanOrEqual(DRAIN_MS);
    expect(boundOf(END_STEP_MS, DRAIN_STEP_SHARE, untilMs, untilMs + 5_000)).toBe(1);
  });

  it('leaves storing the larger part when all before it is quick', () => {
    expect(boundOf(END_STORE_MS, DRAIN_STORE_SHARE, DRAIN_MS - DRAIN_RESERVE_MS, 1_000)).toBeGreaterThan(12_000);
  });
});

describe('what is kept of a planned end', () => {
  it('tells an end of the session from an end of its epoch', () => {
    const done = { to: 'completed', reason: null } as const;
    const drained = { to: 'drained', why: 'asked' } as const;
    expect([isLeaving(done), isLeaving(drained)]).toEqual([false, true]);
    expect(savedEnding(null)).toEqual({ ending: null, leaving: null });
    expect(savedEnding(done)).toEqual({ ending: done, leaving: null });
    expect(savedEnding(drained)).toEqual({ ending: null, leaving: drained });
  });
});

describe('Prompts', () => {
  it('counts each until it is settled, and waits for those on their way', async () => {
    const sent = Promise.withResolvers<{ kind: 'sent'; confirmed: boolean }>();
    const log: unknown[] = [];
    const prompts = new Prompts({
      from: { prompts: [{ number: 3, text: 'old' }], nextPrompt: 4 },
      send: () => sent.promise,
      onQueued: () => log.push('queued'),
      onSettled: (isSent) => log.push(isSent),
    });
    const prompt = prompts.queue('new');
    expect(prompts.saved()).toEqual({
      prompts: [
        { number: 3, text: 'old' },
        { number: 4, text: 'new' },
      ],
      nextPrompt: 5,
    });
    const result = prompts.send(prompt);
    let isSettled = false;
    const settled = prompts.settled().then(() => {
      isSettled = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isSettled).toBe(false);
    sent.resolve({ kind: 'sent', confirmed: true });
    expect(await result).toMatchObject({ kind: 'sent' });
    await settled;
    expect(prompts.waiting).toEqual([{ number: 3, text: 'old' }]);
    expect(log).toEqual(['queued', true]);
  });

  it('says when no CLI runs, or it breaks', async () => {
    const log: unknown[] = [];
    const options = { from: null, onQueued: () => {}, onSettled: (isSent: boolean) => log.push(isSent) };
    const none = new Prompts({ ...options, send: () => null });
    expect(await none.send(none.queue('x'))).toMatchObject({ kind: 'refused' });
    const broken = new Prompts({ ...options, send: () => Promise.reject(new Error('gone')) });
    await expect(broken.send(broken.queue('x'))).rejects.toThrow('gone');
    expect([none.waiting, broken.waiting, log]).toEqual([[], [], [false, false]]);
  });
});

describe('counting on in the next epoch', () => {
  it('leaves out what will be asked again', () => {
    const base = { ...NO_PROGRESS, prompts: 3, turnsDone: 2 };
    expect(countsFrom(base)).toEqual({ prompts: 3, turnsDone: 2, isWorking: false });
    expect(countsFrom({ ...base, turnOpen: true })).toMatchObject({ prompts: 2 });
    expect(countsFrom({ ...base, turnOpen: true, pending: ['a', 'b', 'c'] })).toMatchObject({ prompts: 0 });
  });

  const lifetime = (idleMs = 10_000) => {
    const clock = manualClock();
    const log: string[] = [];
    const life = new Lifetime({
      clock,
      session: { maxDurationMs: 100_000, idleMs, endWhenDone: true },
      ranMs: 40_000,
      isScriptPlayed: () => null,
      isLed: () => false,
      onDone: () => log.push('done'),
      onWarn: (why) => log.push(`warn ${why}`),
      onStop: (why) => log.push(`stop ${why}`),
    });
    return { clock, log, life };
  };

  it('completes when what was left to do is done', () => {
    const { clock, log, life } = lifetime();
    life.restore({ prompts: 1, turnsDone: 1, isWorking: false });
    life.prompted();
    clock.advance(DONE_GRACE_MS * 2);
    expect(log).toEqual([]);
    life.turnStarted();
    life.turnFinished();
    clock.advance(DONE_GRACE_MS);
    expect(log).toEqual(['done']);
  });

  it('does not stop for idleness while silence does not count, and still for the longest time', () => {
    const { clock, log, life } = lifetime();
    life.setSilenceCounts(false);
    clock.advance(50_000);
    expect(log).toEqual(['warn max_duration']);
    life.setSilenceCounts(true);
    clock.advance(9_999);
    expect(log).not.toContain('stop idle');
    clock.advance(1);
    expect(log.filter((line) => line.startsWith('stop'))).toHaveLength(1);
    life.stop();
    life.setSilenceCounts(false);
    expect(clock.timers).toBe(0);
  });
});
