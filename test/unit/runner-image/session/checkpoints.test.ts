import { describe, expect, it } from 'vitest';
import { silentLog } from '../../../../runner-image/src/log.ts';
import { Checkpoints, type MadeCheckpoint } from '../../../../runner-image/src/session/checkpoints.ts';
import type { Stored } from '../../../../runner-image/src/session/uploads.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import {
  CHECKPOINT_IDLE_INTERVAL_MS,
  CHECKPOINT_MIN_INTERVAL_MS,
  CHECKPOINT_NAMES_MAX,
  CHECKPOINT_SETTLE_MS,
} from '../../../../shared/limits.ts';
import { manualClock } from '../manual-clock.ts';

const settle = async () => {
  for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve));
};

interface World {
  readonly hasTurns?: boolean;
  readonly make?: (signal: AbortSignal) => Promise<MadeCheckpoint>;
  readonly store?: (number: number) => Promise<Stored>;
  readonly latestKey?: string;
}

const setup = (world: World = {}) => {
  const clock = manualClock();
  const events: EventDraft[] = [];
  const log: string[] = [];
  const discarded: string[] = [];
  let content = 'a';
  let makes = 0;
  let nextNumber = 7;
  const waiting = new Map<number, (stored: Stored) => void>();
  const made = (): MadeCheckpoint => ({
    kind: 'made',
    file: { path: '/x', sizeBytes: 10, sha256: content },
    leftOut: [],
    discard: async () => void discarded.push(content),
  });
  const checkpoints = new Checkpoints({
    clock,
    log: silentLog,
    hasTurns: world.hasTurns ?? true,
    make: async (signal) => {
      makes += 1;
      return world.make ? world.make(signal) : made();
    },
    store: async (number, file) => {
      log.push(`store ${number}`);
      if (world.store) return world.store(number);
      if (waiting.size > 0 || log.includes('hold'))
        return new Promise<Stored>((resolve) => void waiting.set(number, resolve));
      return { kind: 'stored', key: `k${number}`, sha256: file.sha256, sizeBytes: file.sizeBytes };
    },
    forget: (number) => {
      log.push(`forget ${number}`);
      waiting.get(number)?.({ kind: 'failed', why: 'forgotten' });
      waiting.delete(number);
    },
    takeNumber: () => {
      nextNumber += 1;
      return nextNumber - 1;
    },
    record: (drafts) => events.push(...drafts),
    latestKey: world.latestKey ?? null,
  });
  const change = (next: string): void => {
    content = next;
  };
  return { clock, events, log, discarded, checkpoints, change, makes: () => makes, made };
};

describe('Checkpoints', () => {
  it('makes one soon after a turn, names it in an event, and removes what was packed', async () => {
    const { clock, events, checkpoints, discarded } = setup();
    checkpoints.start();
    checkpoints.turnEnded();
    clock.advance(CHECKPOINT_SETTLE_MS);
    await settle();
    expect(events).toEqual([{ type: 'workspace_checkpointed', checkpointKey: 'k7', sizeBytes: 10, sha256: 'a' }]);
    expect(checkpoints.latestKey).toBe('k7');
    expect(discarded).toEqual(['a']);
    expect(clock.timers).toBe(0);
  });

  it('gathers turns that follow quickly, at most one in the interval', async () => {
    const { clock, checkpoints, makes, change } = setup();
    checkpoints.start();
    for (let turn = 0; turn < 20; turn++) {
      change(`turn ${turn}`);
      checkpoints.turnEnded();
      clock.advance(1_000);
      await settle();
    }
    expect(makes()).toBe(2);
    clock.advance(CHECKPOINT_MIN_INTERVAL_MS);
    await settle();
    expect(makes()).toBe(3);
  });

  it('makes none before the CLI runs, and stores none twice', async () => {
    const { clock, checkpoints, log, change } = setup({ latestKey: 'before' });
    checkpoints.turnEnded();
    clock.advance(60_000);
    expect(await checkpoints.now()).toBeNull();
    expect(checkpoints.latestKey).toBe('before');
    checkpoints.start();
    expect(await checkpoints.now()).toBe('k7');
    expect(await checkpoints.now()).toBe('k7');
    change('b');
    expect(await checkpoints.now()).toBe('k8');
    expect(log).toEqual(['store 7', 'store 8']);
  });

  it('comes again and again for a CLI without turns', async () => {
    const { clock, checkpoints, makes, events, change } = setup({ hasTurns: false });
    checkpoints.start();
    for (let round = 1; round <= 3; round++) {
      if (round < 3) change(`round ${round}`);
      clock.advance(CHECKPOINT_IDLE_INTERVAL_MS);
      await settle();
      expect(makes()).toBe(round);
    }
    expect(events).toHaveLength(2);
    await checkpoints.stop();
    expect(clock.timers).toBe(0);
  });

  it('lets a later one take the place of one that is on its way, and never names the older', async () => {
    const { checkpoints, events, log, change } = setup();
    checkpoints.start();
    log.push('hold');
    const first = checkpoints.now();
    await settle();
    log.splice(log.indexOf('hold'), 1);
    change('b');
    const second = checkpoints.now();
    expect(await first).toBeNull();
    expect(await second).toBe('k8');
    expect(log).toEqual(['store 7', 'forget 7', 'store 8']);
    expect(events.map((event) => event.type)).toEqual(['workspace_checkpointed']);
  });

  it('never makes two at once', async () => {
    let running = 0;
    let most = 0;
    const world = setup({
      make: async (signal) => {
        running += 1;
        most = Math.max(most, running);
        await settle();
        running -= 1;
        return signal.aborted
          ? { kind: 'failed', code: 'cancelled', message: '', discard: async () => {} }
          : { kind: 'made', file: { path: '', sizeBytes: 1, sha256: 'x' }, leftOut: [], discard: async () => {} };
      },
    });
    world.checkpoints.start();
    const all = [world.checkpoints.now(), world.checkpoints.now(), world.checkpoints.now()];
    expect(await Promise.all(all)).toEqual([null, null, 'k7']);
    expect(most).toBe(1);
  });

  it('tells each kind of failure once, and the session goes on', async () => {
    const results: MadeCheckpoint[] = (
      ['checkpoint_too_large', 'checkpoint_too_large', 'checkpoint_failed'] as const
    ).map((code) => ({ kind: 'failed', code, message: 'why', discard: async () => {} }));
    const { checkpoints, events } = setup({
      make: async () => {
        const next = results.shift();
        if (!next) throw new Error('unexpected');
        return next;
      },
    });
    checkpoints.start();
    for (let tries = 0; tries < 4; tries++) expect(await checkpoints.now()).toBeNull();
    expect(events).toMatchObject([
      { type: 'alert_raised', code: 'checkpoint_too_large' },
      { type: 'alert_raised', code: 'checkpoint_failed' },
    ]);
    expect(checkpoints.latestKey).toBeNull();
  });

  it('keeps the last one when the next cannot be stored', async () => {
    let isDown = false;
    const { checkpoints, events, change } = setup({
      store: async (number) =>
        isDown
          ? { kind: 'failed', why: 'not stored' }
          : { kind: 'stored', key: `k${number}`, sha256: 'a', sizeBytes: 1 },
    });
    checkpoints.start();
    await checkpoints.now();
    isDown = true;
    change('b');
    expect(await checkpoints.now()).toBeNull();
    expect(checkpoints.latestKey).toBe('k7');
    expect(events.at(-1)).toMatchObject({ type: 'alert_raised', code: 'checkpoint_failed' });
  });

  it('goes on with the next number where a name is taken, and tells nobody', async () => {
    const { checkpoints, events, log } = setup({
      store: async (number) =>
        number < 9
          ? { kind: 'failed', why: 'another object has this name', isTaken: true }
          : { kind: 'stored', key: `k${number}`, sha256: 'a', sizeBytes: 10 },
    });
    checkpoints.start();
    expect(await checkpoints.now()).toBe('k9');
    expect(log).toEqual(['store 7', 'store 8', 'store 9']);
    expect(events.map(({ type }) => type)).toEqual(['workspace_checkpointed']);
  });

  it('does not try names for ever', async () => {
    const { checkpoints, events, log } = setup({
      store: async () => ({ kind: 'failed', why: 'another object has this name', isTaken: true }),
    });
    checkpoints.start();
    expect(await checkpoints.now()).toBeNull();
    expect(log).toHaveLength(CHECKPOINT_NAMES_MAX);
    expect(events).toMatchObject([{ type: 'alert_raised', code: 'checkpoint_failed' }]);
  });

  it('ends with the session: what is on its way is given up, nothing follows', async () => {
    const { clock, checkpoints, log, events } = setup();
    checkpoints.start();
    log.push('hold');
    const last = checkpoints.now();
    await settle();
    checkpoints.turnEnded();
    await checkpoints.stop();
    expect(await last).toBeNull();
    expect(events).toEqual([]);
    expect(clock.timers).toBe(0);
  });
});
