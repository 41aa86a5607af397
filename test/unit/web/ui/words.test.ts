/** Machine words as people read them, and colours that people can read. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { EVENT_TYPES } from '../../../../shared/events.ts';
import { SESSION_STATES } from '../../../../shared/session.ts';
import { QUIET_EVENTS } from '../../../../web/src/session/event-words.ts';
import { groupOf, groupSessions } from '../../../../web/src/sessions/group-sessions.ts';
import { situationWords } from '../../../../web/src/ui/session-words.ts';
import {
  ageWords,
  agoWords,
  durationWords,
  elapsedWords,
  repositoryName,
  STATE_WORDS,
  sizeWords,
} from '../../../../web/src/ui/words.ts';
import { mockSession } from '../../../e2e/mock/mock-data.ts';

describe('words', () => {
  it('tell durations in at most two units', () => {
    expect([0, 59_999, 60_000, 184_000, 3_600_000, 7_500_000, 90_000_000].map(durationWords)).toEqual([
      '0 s',
      '59 s',
      '1 min',
      '3 min 4 s',
      '1 h',
      '2 h 5 min',
      '1 d 1 h',
    ]);
    expect([500, 8_000, 184_000].map(ageWords)).toEqual(['now', '8 s', '3 min']);
    expect(agoWords(8_000)).toBe('8 s ago');
    expect(elapsedWords(1_234)).toBe('1.2 s');
  });

  it('tell sizes and repositories shortly', () => {
    expect([12, 2_048, 5_242_880, 524_288_000].map(sizeWords)).toEqual(['12 B', '2.0 KiB', '5.0 MiB', '500 MiB']);
    expect(
      ['https://h.example/a/b.git', 'git@h.example:a/b.git', '/srv/git/b', 'ssh://h/x/y/z/'].map(repositoryName),
    ).toEqual(['a/b', 'a/b', 'git/b', 'y/z']);
  });

  it('exist for every state, and quiet events are real ones', () => {
    expect(Object.keys(STATE_WORDS).sort()).toEqual([...SESSION_STATES].sort());
    expect([...QUIET_EVENTS].filter((type) => !EVENT_TYPES.includes(type))).toEqual([]);
  });
});

describe('situations', () => {
  it.each([
    [{ state: 'running' }, 'Running'],
    [{ state: 'created', queuePosition: 3, pool: 'build-farm' }, 'Queued, position 3'],
    [{ state: 'waiting_for_approval', parked: true }, 'Parked: waits for you'],
    [{ state: 'running', parked: true }, 'Moving to another runner'],
    [{ state: 'created', epoch: 2 }, 'Moving to another runner'],
    [{ state: 'created' }, 'Starting'],
    [{ state: 'failed', parked: false, epoch: 3 }, 'Failed'],
  ] as const)('%j is "%s"', (over, words) => {
    expect(situationWords(mockSession(1, over))).toBe(words);
  });
});

describe('groups', () => {
  it('hold every state, by what it asks of a person', () => {
    expect(SESSION_STATES.map((state) => `${state}: ${groupOf(mockSession(1, { state }))}`)).toEqual([
      'created: working',
      'preparing_workspace: working',
      'starting_provider: working',
      'running: working',
      'waiting_for_approval: needs_you',
      'paused_by_human: needs_you',
      'stopping: working',
      'completed: done',
      'failed: done',
    ]);
  });

  it('keep apart what waits for a runner, and what a person has parked', () => {
    expect(groupOf(mockSession(1, { state: 'created', queuePosition: 2 }))).toBe('queued');
    expect(groupOf(mockSession(1, { state: 'running', parked: true }))).toBe('working');
    expect(groupOf(mockSession(1, { state: 'running', parked: true, desired: 'pause' }))).toBe('needs_you');
    const queue = [3, 1, 2].map((queuePosition) => mockSession(queuePosition, { state: 'created', queuePosition }));
    expect(groupSessions(queue).queued.map(({ queuePosition }) => queuePosition)).toEqual([1, 2, 3]);
  });

  it('show who waited longest first where a person is needed, else the latest first', () => {
    const at = (number: number, state: 'running' | 'waiting_for_approval', second: number) =>
      mockSession(number, { state, lastEventAt: new Date(second * 1_000).toISOString() });
    const groups = groupSessions([
      at(1, 'running', 1),
      at(2, 'running', 2),
      at(3, 'waiting_for_approval', 3),
      at(4, 'waiting_for_approval', 4),
    ]);
    expect(groups.working.map(({ title }) => title)).toEqual(['Session 2', 'Session 1']);
    expect(groups.needs_you.map(({ title }) => title)).toEqual(['Session 3', 'Session 4']);
  });
});

describe('colours', () => {
  const css = readFileSync(new URL('../../../../web/src/styles/page.css', import.meta.url), 'utf8');
  const pairs = new Map(
    [...css.matchAll(/--c-([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(
      ([, name, light, dark]) => [name, [light, dark]] as const,
    ),
  );
  const luminance = (hex: string): number => {
    const [r = 0, g = 0, b = 0] = [1, 3, 5]
      .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a: string, b: string): number => {
    const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const colour = (name: string, scheme: 0 | 1): string => {
    if (name.startsWith('#')) return name;
    const found = pairs.get(name)?.[scheme];
    if (found === undefined) throw new Error(`no colour ${name}`);
    return found;
  };
  const TEXTS = ['text', 'muted', 'accent', 'danger', 'warn', 'info'];
  const GROUNDS = ['ground', 'surface', 'raised'];
  const SOFT = ['accent', 'danger', 'warn', 'info'];

  it.each([0, 1] as const)('of text meet AA in scheme %i', (scheme) => {
    const tooWeak = [
      ...TEXTS.flatMap((text) => GROUNDS.map((ground) => [text, ground] as const)),
      ...SOFT.flatMap(
        (name) =>
          [
            [name, `${name}-soft`],
            ['text', `${name}-soft`],
          ] as const,
      ),
      ['#ffffff', 'accent-ground'] as const,
    ].filter(([text, ground]) => contrast(colour(text, scheme), colour(ground, scheme)) < 4.5);
    expect(tooWeak).toEqual([]);
  });

  it.each([0, 1] as const)('of field borders can be seen in scheme %i', (scheme) => {
    expect(contrast(colour('line-strong', scheme), colour('surface', scheme))).toBeGreaterThanOrEqual(3);
  });
});
