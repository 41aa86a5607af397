import { describe, expect, it } from 'vitest';
import { CALM, type CHAOS_KINDS, createChaos, parseChaos, REORDER_MAX_MS } from '../../../local/chaos.ts';

const settingsOf = (text: string) => {
  const parsed = parseChaos(text);
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.settings;
};

describe('parseChaos', () => {
  it('reads what is named and leaves the rest calm', () => {
    expect(settingsOf('seed=7,reorder=0.2, duplicate=0.1,drop=0')).toEqual({
      ...CALM,
      seed: 7,
      reorder: 0.2,
      duplicate: 0.1,
    });
    expect(settingsOf('')).toEqual(CALM);
  });

  it.each([
    ['reorder', 'write name=number'],
    ['reorder=1=2', 'write name=number'],
    ['reorder=', 'needs a number'],
    ['reorder=often', 'needs a number'],
    ['reorder=1.5', 'probability from 0 to 1'],
    ['cut=-0.1', 'probability from 0 to 1'],
    ['seed=1.5', 'whole number'],
    ['seed=-1', 'whole number'],
    ['shuffle=0.1', '"shuffle" is no chaos setting: use seed, reorder'],
    ['conflict=0.1', '"conflict" is no chaos setting: use seed, reorder'],
    ['cut=0.1,cut=0.2', 'named twice'],
  ])('refuses %s', (text, message) => {
    const parsed = parseChaos(text);
    expect(parsed.ok ? '' : parsed.message).toContain(message);
  });
});

describe('decisions', () => {
  const decide = (text: string, count = 200) => {
    const chaos = createChaos(settingsOf(text));
    return Array.from({ length: count }, () => [chaos.strikes('duplicate', 'a'), chaos.reorderMs('a')]);
  };

  it('are the same for the same seed and others for another', () => {
    const text = 'duplicate=0.3,reorder=0.3';
    expect(decide(`seed=7,${text}`)).toEqual(decide(`seed=7,${text}`));
    expect(decide(`seed=7,${text}`)).not.toEqual(decide(`seed=8,${text}`));
  });

  it('of one point do not depend on how often another was asked', () => {
    const alone = createChaos(settingsOf('seed=3,cut=0.5'));
    const mixed = createChaos(settingsOf('seed=3,cut=0.5'));
    const expected = Array.from({ length: 100 }, () => alone.strikes('cut', 'viewer/message'));
    const actual = Array.from({ length: 100 }, (_, index) => {
      for (let times = 0; times < index % 4; times += 1) mixed.strikes('cut', 'runner/message');
      return mixed.strikes('cut', 'viewer/message');
    });
    expect(actual).toEqual(expected);
  });

  it('strike about as often as asked, never at 0 and always at 1', () => {
    const chaos = createChaos({ ...CALM, drop: 0.2, throttle: 1 });
    const hits = (kind: (typeof CHAOS_KINDS)[number]) =>
      Array.from({ length: 2_000 }, () => chaos.strikes(kind, 'p')).filter(Boolean).length;
    expect(hits('drop')).toBeGreaterThan(300);
    expect(hits('drop')).toBeLessThan(500);
    expect(hits('throttle')).toBe(2_000);
    expect(hits('cut')).toBe(0);
  });

  it('delay by 1 to 50 ms', () => {
    const chaos = createChaos({ ...CALM, reorder: 1, cold: 1 });
    const delays = Array.from({ length: 1_000 }, () => chaos.reorderMs('p'));
    expect(Math.min(...delays)).toBe(1);
    expect(Math.max(...delays)).toBe(REORDER_MAX_MS);
    expect(chaos.coldStartMs('p')).toBeGreaterThanOrEqual(50);
  });
});
