import { describe, expect, it } from 'vitest';
import { echoYield } from '../../../../runner-image/src/pty-host/echo-yield.ts';
import { PTY_ECHO_YIELD_GAP_MS, PTY_ECHO_YIELD_MS } from '../../../../shared/limits.ts';
import { manualClock } from '../stream/manual-clock.ts';

const process = (handle: number, isFlooding: boolean) => ({
  handle,
  isFlooding,
  isStill: false,
  standStill() {
    this.isStill = true;
  },
  goOn() {
    this.isStill = false;
  },
});

const setup = () => {
  const { clock, move } = manualClock();
  const [typist, flood, other] = [process(1, false), process(2, true), process(3, false)];
  const echoes = echoYield(clock, () => [typist, flood, other]);
  return { echoes, move, typist, flood, other };
};

describe('floods beside a person who types', () => {
  it('stand still from the key to its echo, and nobody else does', () => {
    const { echoes, typist, flood, other } = setup();
    echoes.typed(1);
    expect([typist, flood, other].map(({ isStill }) => isStill)).toEqual([false, true, false]);
    echoes.answered(3);
    expect(flood.isStill).toBe(true);
    echoes.answered(1);
    expect(flood.isStill).toBe(false);
  });

  it('wait for no echo that does not come, and not for each of many keys', () => {
    const { echoes, move, flood } = setup();
    echoes.typed(1);
    move(PTY_ECHO_YIELD_MS);
    expect(flood.isStill).toBe(false);
    echoes.typed(1);
    expect(flood.isStill).toBe(false);
    move(PTY_ECHO_YIELD_GAP_MS);
    echoes.typed(1);
    expect(flood.isStill).toBe(true);
    // Neither does a second person's key make it longer.
    echoes.typed(3);
    move(PTY_ECHO_YIELD_MS);
    expect(flood.isStill).toBe(false);
  });

  it('do not stand still for a key of their own', () => {
    const { echoes, flood } = setup();
    echoes.typed(2);
    expect(flood.isStill).toBe(false);
  });
});
