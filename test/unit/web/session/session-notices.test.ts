/** What is said over a terminal, from the session and its events. */
import { describe, expect, it } from 'vitest';
import type { SessionView } from '../../../../shared/session.ts';
import { epochWords } from '../../../../web/src/session/epoch-words.ts';
import { sessionNotices } from '../../../../web/src/session/session-notices.ts';
import { mockEvents, mockSession } from '../../../e2e/mock/mock-data.ts';

const KEY = 'checkpoints/1-1';
const stored = { type: 'workspace_checkpointed', checkpointKey: KEY, sizeBytes: 1, sha256: 'a'.repeat(64) };
const parked = { type: 'session_parked', checkpointKey: KEY };
const lost = { type: 'runner_lost', why: 'lease', leaseUntilMs: null };
const drained = { type: 'epoch_drained', why: 'drain', checkpointKey: KEY };
const resumed = (checkpointKey: string | null) => ({ type: 'session_resumed', fromEpoch: 1, checkpointKey, epoch: 2 });

const idsOf = (over: Partial<SessionView>, drafts: Parameters<typeof mockEvents>[1], lateMs = 0): string[] => {
  const session = mockSession(1, over);
  return sessionNotices(session, mockEvents(session, drafts, 1_000_000), 1_000_000 + lateMs).map(({ id }) => id);
};

describe('notices', () => {
  it.each([
    ['a queue', { state: 'created', queuePosition: 2, pool: 'gpu' }, [], ['queued']],
    ['parking', { state: 'waiting_for_approval', parked: true }, [parked], ['parked']],
    ['parking whose event is not held', { state: 'paused_by_human', parked: true }, [], ['parked']],
    ['a pause without a runner', { state: 'running', parked: true, desired: 'pause' }, [lost], ['parked']],
    ['a loss', { state: 'waiting_for_approval', parked: true }, [lost], ['moving']],
    ['a drain', { parked: true }, [drained], ['moving']],
    ['nothing', {}, [stored], []],
    ['an end', { state: 'completed', parked: false }, [parked], []],
  ] as const)('of %s', (_name, over, drafts, ids) => {
    expect(idsOf(over, drafts)).toEqual(ids);
  });

  it('of a move go after a while, those of a freeze when it thaws, those of an earlier epoch at once', () => {
    expect(idsOf({ epoch: 2 }, [drained, resumed(KEY)])).toEqual(['moved-2']);
    expect(idsOf({ epoch: 2 }, [drained, resumed(KEY)], 10 * 60_000)).toEqual([]);
    const frozen = { type: 'session_frozen', frozen: true, reason: 'lease' };
    expect(idsOf({}, [frozen])).toEqual(['frozen']);
    expect(idsOf({}, [frozen, { ...frozen, frozen: false }])).toEqual([]);
    expect(idsOf({ epoch: 2 }, [{ ...frozen, epoch: 1 }])).toEqual([]);
  });
});

describe('the words before another screen', () => {
  const wordsOf = (drafts: Parameters<typeof mockEvents>[1]): string =>
    epochWords(mockEvents(mockSession(1), drafts, 1_000_000), 2);

  it.each([
    [[stored, drained, resumed(KEY)], /^Moved to another runner; continued from the checkpoint of \d\d:\d\d/],
    [[stored, lost, resumed(KEY)], /^Its runner was lost; moved to another; continued from the checkpoint of/],
    [[stored, parked, resumed(KEY)], /^Resumed; continued from the checkpoint of/],
    [[lost, resumed(KEY)], /continued from its checkpoint$/],
    [[lost, resumed(null)], /there was no checkpoint, so it begins anew$/],
    [[], /^The session went on \(epoch 2\)$/],
  ])('%#', (drafts, words) => {
    expect(wordsOf(drafts)).toMatch(words);
  });
});
