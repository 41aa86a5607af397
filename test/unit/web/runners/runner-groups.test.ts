/** Free places are those of runners that serve. */
import { describe, expect, it } from 'vitest';
import { freeWords, groupsOf, hostedOf } from '../../../../web/src/runners/runner-groups.ts';
import { mockId, mockRunner } from '../../../e2e/mock/mock-data.ts';

const sessions = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ sessionId: mockId('ses', index), epoch: 1 }));

describe('groups of runners', () => {
  it('count the places of what serves, and list that first', () => {
    const groups = groupsOf([
      mockRunner('lost', { state: 'lost', capacity: 8 }),
      mockRunner('b', { capacity: 2, sessions: sessions(2) }),
      mockRunner('a', { capacity: 3, sessions: sessions(1) }),
      mockRunner('drains', { state: 'draining', sessions: sessions(1) }),
      mockRunner('gpu', { group: 'gpu', state: 'registered' }),
      mockRunner('task', { kind: 'hosted', group: null }),
    ]);
    expect(groups.map(({ group, free, places }) => ({ group, free, places }))).toEqual([
      { group: 'build-farm', free: 2, places: 5 },
      { group: 'gpu', free: 0, places: 0 },
    ]);
    expect(groups[0]?.runners.map(({ runnerId }) => runnerId)).toEqual(['a', 'b', 'drains', 'lost']);
  });

  it('say it in words', () => {
    expect(
      [
        { free: 3, places: 4 },
        { free: 1, places: 1 },
        { free: 0, places: 2 },
        { free: 0, places: 0 },
      ].map(freeWords),
    ).toEqual(['3 of 4 places free', '1 of 1 place free', 'all 2 places taken', 'no runner serves now']);
  });

  it('leave out of the village’s own what is gone and needed no more', () => {
    const hosted = (runnerId: string, over: Parameters<typeof mockRunner>[1]) =>
      mockRunner(runnerId, { kind: 'hosted', group: null, ...over });
    const runners = [
      hosted('on', { state: 'connected' }),
      hosted('over', { state: 'disconnected', sessionId: mockId('ses', 1) }),
      hosted('cut', { state: 'disconnected', sessionId: mockId('ses', 2) }),
      hosted('off', { state: 'stopped' }),
      mockRunner('own'),
    ];
    const shown = hostedOf(runners, (sessionId) => sessionId === mockId('ses', 2));
    expect(shown.map(({ runnerId }) => runnerId)).toEqual(['on', 'cut']);
  });
});
