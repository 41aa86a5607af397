import { describe, expect, it } from 'vitest';
import { type AssignFacts, decideAssign } from '../../../../runner-image/src/runner/decide-assign.ts';
import { type HandOverFacts, mayHandOver } from '../../../../runner-image/src/runner/hand-over.ts';
import { HAND_OVER_MAX_MS, HAND_OVER_QUIET_MS } from '../../../../shared/limits.ts';

describe('an assignment', () => {
  const free: AssignFacts = {
    ...{ kind: 'group', capacity: 2, isDraining: false, live: 0, held: 0 },
    ...{ hasServed: false, heldEpoch: null, wasAnswered: false, isStuck: false },
  };
  const answer = (facts: Partial<AssignFacts>, epoch = 5) => {
    const decision = decideAssign({ ...free, ...facts }, epoch);
    return decision.kind === 'refuse' ? decision.reason : decision.kind;
  };

  it.each<[string, Partial<AssignFacts>, string]>([
    ['with a place free', {}, 'start'],
    ['told again', { heldEpoch: 5, live: 2, held: 2 }, 'known'],
    ['told again while draining', { heldEpoch: 5, isDraining: true }, 'known'],
    ['of an older epoch than is held', { heldEpoch: 6 }, 'known'],
    ['of a newer epoch than is held, whatever else is held', { heldEpoch: 4, live: 2, held: 2 }, 'wait'],
    ['without a place', { live: 2, held: 2 }, 'full'],
    ['while others end, which have given their places back', { live: 1, held: 3 }, 'start'],
    ['while too many end', { live: 0, held: 4 }, 'full'],
    ['while draining', { isDraining: true }, 'draining'],
    ['that was refused once, or has ended here', { wasAnswered: true }, 'full'],
    ['of a session that cannot be taken up yet', { isStuck: true }, 'full'],
    ['to a runner that waits to be claimed', { kind: 'warm', capacity: 1 }, 'start'],
    ['to one that has had its session', { kind: 'warm', capacity: 1, hasServed: true }, 'full'],
    [
      'to a runner of one session, of its next epoch',
      { kind: 'session', capacity: 1, hasServed: true, heldEpoch: 4 },
      'full',
    ],
  ])('%s', (_name, facts, expected) => expect(answer(facts)).toBe(expected));

  it('says why it is refused', () => {
    expect(decideAssign({ ...free, live: 2, held: 2 }, 1)).toMatchObject({
      message: 'This runner holds 2 of 2 sessions.',
    });
  });
});

describe('handing a session over', () => {
  const resting: HandOverFacts = { state: 'running', isWorking: false, quietMs: HAND_OVER_QUIET_MS, askedMs: 0 };
  it.each<[string, Partial<HandOverFacts>, boolean]>([
    ['between two turns', {}, true],
    ['in a turn', { isWorking: true }, false],
    ['while somebody types', { quietMs: HAND_OVER_QUIET_MS - 1 }, false],
    ['while it starts', { state: 'preparing_workspace', quietMs: 60_000 }, false],
    ['while it stops', { state: 'stopping', quietMs: 60_000 }, false],
    ['while a person is waited for', { state: 'waiting_for_approval', quietMs: 0, isWorking: true }, true],
    ['while a person holds it', { state: 'paused_by_human', quietMs: 0 }, true],
    ['in a turn that does not end', { isWorking: true, quietMs: 0, askedMs: HAND_OVER_MAX_MS }, true],
    ['in a start that does not end', { state: 'starting_provider', askedMs: HAND_OVER_MAX_MS }, true],
  ])('%s: %s', (_name, facts, expected) => expect(mayHandOver({ ...resting, ...facts })).toBe(expected));
});
