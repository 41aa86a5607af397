import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Journal, JournalState } from '../../../../runner-image/src/transport/journal.ts';
import { type AckFrame, type NackFrame, Outbox, takeBatch } from '../../../../runner-image/src/transport/outbox.ts';
import { batchDigestInput } from '../../../../shared/batch.ts';
import { EventEnvelope } from '../../../../shared/events.ts';
import { RunnerFrame } from '../../../../shared/frames.ts';
import {
  BATCH_MAX_BYTES,
  FRAME_MAX_BYTES,
  HEARTBEAT_MS,
  LINGER_UNWATCHED_MS,
  LINGER_WATCHED_MS,
  RESEND_FIRST_MS,
  RESEND_MAX_MS,
} from '../../../../shared/limits.ts';

const sessionId = 'ses_01J0000000000000000000000A';
const event = (rseq: number, type = 'provider_message', extra: object = {}): EventEnvelope => ({
  v: 1,
  sessionId,
  tenantId: 'local',
  epoch: 1,
  rseq,
  ts: 1,
  offset: 0,
  type,
  ...extra,
});
const memoryJournal = (): Journal & { log: unknown[] } => {
  const log: unknown[] = [];
  return {
    log,
    liveBytes: 0,
    append: (e) => log.push(['event', e.rseq]),
    seal: (b) => log.push(['seal', b.firstRseq, b.lastRseq]),
    acked: (r) => log.push(['acked', r]),
    close: () => {},
    remove: () => {},
  };
};
const EMPTY: JournalState = { nextRseq: 1, ackedRseq: 0, events: [], sealed: null };
const make = (restored: JournalState = EMPTY, journal: Journal = memoryJournal()) =>
  new Outbox({ sessionId, epoch: 1, capability: 'cap', journal, restored });
const Sent = z.looseObject({ firstRseq: z.number(), digest: z.string(), events: z.array(EventEnvelope) });
const sendNow = (outbox: Outbox, nowMs: number) => {
  const step = outbox.next(nowMs);
  if (step.kind !== 'send') throw new Error(`waits until ${step.atMs}`);
  return Sent.parse(JSON.parse(step.batch.frame));
};
const ack = (firstRseq: number, ackedRseq: number, epoch = 1): AckFrame => ({
  type: 'ack',
  sessionId,
  epoch,
  firstRseq,
  ackedRseq,
  headSeq: 0,
  grants: [],
});
const nack = (firstRseq: number, reason: NackFrame['reason'], expected = 1, epoch = 1): NackFrame => ({
  type: 'nack',
  sessionId,
  epoch,
  firstRseq,
  reason,
  expected,
});

describe('a tick', () => {
  it('that leaves by itself needs no heartbeat behind it', () => {
    const outbox = make();
    outbox.add(event(1), 0);
    sendNow(outbox, LINGER_UNWATCHED_MS);
    outbox.onAck(ack(1, 1));
    outbox.add(event(2, 'usage_tick'), LINGER_UNWATCHED_MS + HEARTBEAT_MS);
    expect(sendNow(outbox, LINGER_UNWATCHED_MS + HEARTBEAT_MS).events).toHaveLength(1);
    outbox.flush(true);
    outbox.onAck(ack(2, 2));
    expect(outbox.next(LINGER_UNWATCHED_MS + HEARTBEAT_MS + 1)).toMatchObject({ kind: 'wait' });
  });

  it('takes the next event along only when its time has come', () => {
    const outbox = make();
    outbox.add(event(1), 0);
    sendNow(outbox, LINGER_UNWATCHED_MS);
    outbox.flush(true);
    outbox.onAck(ack(1, 1));
    outbox.add(event(2), LINGER_UNWATCHED_MS + 1);
    expect(outbox.next(LINGER_UNWATCHED_MS + 1)).toMatchObject({ kind: 'wait' });
  });

  it('is a heartbeat of its own when nothing waits', () => {
    const outbox = make();
    outbox.flush(true);
    expect(sendNow(outbox, 5).events).toEqual([]);
  });
});

describe('flush rules', () => {
  it.each([
    [true, LINGER_WATCHED_MS],
    [false, LINGER_UNWATCHED_MS],
  ])('lets ordinary events linger (watched: %s)', (isWatched, lingerMs) => {
    const outbox = make();
    outbox.setWatched(isWatched);
    sendHeartbeat(outbox, 1_000);
    outbox.add(event(1), 1_000);
    expect(outbox.next(1_000)).toEqual({ kind: 'wait', atMs: Math.min(1_000 + lingerMs, 1_000 + HEARTBEAT_MS) });
    expect(sendNow(outbox, 1_000 + lingerMs).events).toHaveLength(1);
  });

  const sendHeartbeat = (outbox: Outbox, nowMs: number) => {
    outbox.flush(true);
    expect(sendNow(outbox, nowMs).events).toEqual([]);
    expect(outbox.onAck(ack(1, 0)).kind).toBe('acked');
  };

  it.each(['usage_tick', 'transcript_chunk_stored'])(
    'keeps %s for the next batch, also while somebody watches',
    (type) => {
      const outbox = make();
      outbox.setWatched(true);
      sendHeartbeat(outbox, 1_000);
      outbox.add(event(1, type), 1_000);
      outbox.wish({ kind: 'transcript', number: 1, sizeBytes: 1, sha256Base64: 'x' }, 1_000, false);
      expect(outbox.next(1_000)).toEqual({ kind: 'wait', atMs: 1_000 + LINGER_UNWATCHED_MS });
      outbox.add(event(2), 5_000);
      expect(outbox.next(5_000)).toEqual({ kind: 'wait', atMs: 5_000 + LINGER_WATCHED_MS });
      expect(sendNow(outbox, 5_000 + LINGER_WATCHED_MS).events.map((e) => e.rseq)).toEqual([1, 2]);
    },
  );

  it('does not wait on with what somebody sees now who begins to watch', () => {
    const outbox = make();
    sendHeartbeat(outbox, 1_000);
    outbox.add(event(1), 1_000);
    outbox.setWatched(true);
    expect(sendNow(outbox, 4_000).events).toHaveLength(1);
  });

  it('sends urgent events at once, with what lingers before them', () => {
    const outbox = make();
    outbox.add(event(1), 0);
    outbox.add(event(2, 'session_state_changed'), 5);
    expect(sendNow(outbox, 5).events.map((e) => e.rseq)).toEqual([1, 2]);
  });

  it('beats when nothing happens', () => {
    const outbox = make();
    sendHeartbeat(outbox, 0);
    expect(outbox.next(10)).toEqual({ kind: 'wait', atMs: HEARTBEAT_MS });
    expect(sendNow(outbox, HEARTBEAT_MS)).toMatchObject({ firstRseq: 1, events: [] });
  });

  it('carries upload wishes in frames the control plane takes', () => {
    const outbox = make();
    const sha256Base64 = createHash('sha256').update('x').digest('base64');
    for (let number = 0; number < 6; number++)
      outbox.wish({ kind: 'transcript', number, sizeBytes: 1, sha256Base64 }, 0, number === 5);
    const first = outbox.next(0);
    if (first.kind !== 'send') throw new Error('not sent');
    const frame = RunnerFrame.parse(JSON.parse(first.batch.frame));
    expect(frame).toMatchObject({ type: 'runner_events', events: [] });
    expect(frame.type === 'runner_events' && frame.uploads.map((wish) => wish.number)).toEqual([0, 1, 2, 3]);
    outbox.onAck(ack(1, 0));
    expect(sendNow(outbox, 1)).toMatchObject({ uploads: [{ number: 4 }, { number: 5 }] });
  });
});

describe('one batch in flight', () => {
  it('resends the same bytes with doubling pauses, whatever is added meanwhile', () => {
    const outbox = make();
    outbox.add(event(1, 'session_ended'), 0);
    const first = outbox.next(0);
    outbox.add(event(2, 'session_ended'), 1);
    let nowMs = 0;
    let pauseMs = RESEND_FIRST_MS;
    for (let times = 0; times < 6; times++) {
      expect(outbox.next(nowMs)).toEqual({ kind: 'wait', atMs: nowMs + pauseMs });
      nowMs += pauseMs;
      const again = outbox.next(nowMs);
      expect(again.kind === 'send' && first.kind === 'send' && again.batch.frame === first.batch.frame).toBe(true);
      pauseMs = Math.min(pauseMs * 2, RESEND_MAX_MS);
    }
  });

  it('digests the canonical form of what it sends', () => {
    const outbox = make();
    outbox.add(event(1, 'session_ended', { zebra: 1, apple: { y: 1, x: [2] } }), 0);
    const sent = sendNow(outbox, 0);
    const reversed = sent.events.map((e) => EventEnvelope.parse(Object.fromEntries(Object.entries(e).reverse())));
    const expected = createHash('sha256').update(
      batchDigestInput({ sessionId, epoch: 1, firstRseq: 1, events: reversed }),
    );
    expect(sent.digest).toBe(expected.digest('hex'));
  });

  it.each([
    ['another epoch', ack(1, 1, 2)],
    ['another batch', ack(2, 2)],
    ['less than the batch holds', ack(1, 0)],
  ])('ignores an ack for %s', (_name, frame) => {
    const outbox = make();
    outbox.add(event(1, 'session_ended'), 0);
    sendNow(outbox, 0);
    expect(outbox.onAck(frame)).toEqual({ kind: 'ignored' });
    expect(outbox.isDrained).toBe(false);
    expect(outbox.onAck(ack(1, 1))).toEqual({ kind: 'acked', ackedRseq: 1, sentAtMs: 0 });
    expect(outbox.isDrained).toBe(true);
  });

  it('counts the lease from the first sending, not from a resend', () => {
    const outbox = make();
    outbox.add(event(1, 'session_ended'), 7);
    sendNow(outbox, 7);
    sendNow(outbox, 7 + RESEND_FIRST_MS);
    expect(outbox.onAck(ack(1, 1))).toMatchObject({ sentAtMs: 7 });
  });

  it('sends what did not fit right after the ack', () => {
    const outbox = make();
    for (let rseq = 1; rseq <= 3; rseq++) outbox.add(event(rseq, 'session_ended', { pad: 'x'.repeat(12_000) }), 0);
    expect(sendNow(outbox, 0).events).toHaveLength(2);
    outbox.onAck(ack(1, 2));
    expect(sendNow(outbox, 1).events.map((e) => e.rseq)).toEqual([3]);
  });
});

describe('nack and welcome', () => {
  it.each([
    ['stale_epoch', nack(9, 'stale_epoch'), { kind: 'over', reason: 'stale_epoch' }],
    ['closed', nack(1, 'closed'), { kind: 'over', reason: 'closed' }],
    ['a foreign batch', nack(9, 'gap'), { kind: 'ignored' }],
    ['a foreign epoch', nack(1, 'stale_epoch', 1, 2), { kind: 'ignored' }],
    ['other_digest', nack(1, 'other_digest'), { kind: 'broken', why: expect.any(String) }],
    ['gap at the batch', nack(1, 'gap', 1), { kind: 'resend' }],
    ['gap beyond the batch', nack(1, 'gap', 2), { kind: 'resend' }],
    ['gap beyond the journal', nack(1, 'gap', 3), { kind: 'broken', why: expect.any(String) }],
  ])('%s', (_name, frame, result) => {
    const outbox = make();
    outbox.add(event(1, 'session_ended'), 0);
    sendNow(outbox, 0);
    expect(outbox.onNack(frame, 0)).toEqual(result);
  });

  it('asks for nothing that was acknowledged', () => {
    const outbox = make({ nextRseq: 5, ackedRseq: 4, events: [], sealed: null });
    outbox.add(event(5, 'session_ended'), 0);
    sendNow(outbox, 0);
    expect(outbox.onNack(nack(5, 'gap', 3), 0)).toMatchObject({ kind: 'broken' });
  });

  it('takes the welcome of a committed batch as its ack, and resends one that was not', () => {
    const outbox = make();
    outbox.add(event(1, 'session_ended'), 0);
    sendNow(outbox, 0);
    expect(outbox.onWelcome(0)).toEqual({ kind: 'resend' });
    expect(sendNow(outbox, 1).events).toHaveLength(1);
    expect(outbox.onWelcome(1)).toEqual({ kind: 'resend' });
    expect(outbox.isDrained).toBe(true);
    expect(outbox.onWelcome(2)).toMatchObject({ kind: 'broken' });
  });
});

describe('late events after a heartbeat that was sent several times', () => {
  /** Heartbeat of batch 5 sent `heartbeats` times, then told to be over: the events follow under its number. */
  const lateAfter = (heartbeats: number) => {
    const outbox = make({ nextRseq: 5, ackedRseq: 4, events: [], sealed: null });
    outbox.flush(true);
    let nowMs = 0;
    for (let sent = 0; sent < heartbeats; sent += 1) {
      nowMs += RESEND_MAX_MS;
      expect(sendNow(outbox, nowMs).events).toEqual([]);
    }
    outbox.add(event(5), nowMs);
    expect(outbox.onNack(nack(5, 'closed', 5), nowMs)).toMatchObject({ kind: 'over' });
    outbox.becomeLate();
    expect(sendNow(outbox, nowMs).events).toHaveLength(1);
    return { outbox, nowMs };
  };

  it('are not given up because of the other answers to it', () => {
    const { outbox, nowMs } = lateAfter(4);
    for (let stray = 1; stray <= 3; stray += 1) {
      expect(outbox.onNack(nack(5, 'closed', 5), nowMs)).toMatchObject({ kind: 'over' });
      sendNow(outbox, nowMs);
    }
    expect(outbox.onNack(nack(5, 'closed', 6), nowMs)).toMatchObject({ kind: 'over' });
    expect(outbox.isDrained).toBe(true);
  });

  it.each([1, 3])('are given up once they were refused beside those (%i)', (heartbeats) => {
    const { outbox, nowMs } = lateAfter(heartbeats);
    const kinds: string[] = [];
    for (let answer = 1; answer <= heartbeats + 1; answer += 1) {
      kinds.push(outbox.onNack(nack(5, 'closed', 5), nowMs).kind);
      outbox.next(nowMs);
    }
    expect(kinds).toEqual([...Array(heartbeats).fill('over'), 'broken']);
  });
});

describe('after a restart', () => {
  it('sends the sealed batch again unchanged before newer events', () => {
    const before = make();
    before.add(event(1, 'session_ended'), 0);
    const sent = sendNow(before, 0);
    const after = make({
      nextRseq: 3,
      ackedRseq: 0,
      events: [event(1, 'session_ended'), event(2)],
      sealed: { firstRseq: 1, lastRseq: 1, uploads: [] },
    });
    expect(sendNow(after, 100)).toEqual(sent);
    after.onAck(ack(1, 1));
    expect(sendNow(after, 101).events.map((e) => e.rseq)).toEqual([2]);
  });
});

describe('the final state', () => {
  const changed = (rseq: number) =>
    event(rseq, 'session_state_changed', { fromState: 'running', toState: 'failed', reason: null });

  it('waits for the event that ends the session: the batch that holds it closes the epoch', () => {
    const outbox = make();
    outbox.add(event(1), 0);
    outbox.add(changed(2), 0);
    expect(outbox.isDrained).toBe(false);
    outbox.flush();
    expect(sendNow(outbox, 0).events.map(({ rseq }) => rseq)).toEqual([1]);
    outbox.onAck(ack(1, 1));
    outbox.flush();
    expect(outbox.next(0).kind).toBe('wait');
    expect(outbox.isDrained).toBe(false);
    outbox.add(event(3, 'session_ended'), 1);
    expect(sendNow(outbox, 1).events.map(({ rseq }) => rseq)).toEqual([2, 3]);
    outbox.onAck(ack(2, 3));
    expect(outbox.isDrained).toBe(true);
  });

  it('waits for it also after a restart', () => {
    const outbox = make({ nextRseq: 2, ackedRseq: 0, events: [changed(1)], sealed: null });
    expect(outbox.next(0).kind).toBe('wait');
    outbox.add(event(2, 'session_ended'), 0);
    expect(sendNow(outbox, 0).events.map(({ rseq }) => rseq)).toEqual([1, 2]);
  });

  it('is not parted from it by the bounds of a batch', () => {
    const events = Array.from({ length: 99 }, (_, index) => event(index + 1));
    const taken = takeBatch([...events, changed(100), event(101, 'session_ended')]);
    expect(taken).toHaveLength(99);
  });
});

describe('takeBatch', () => {
  it('keeps to the caps on bytes, events and rows', () => {
    const many = Array.from({ length: 150 }, (_, index) => event(index + 1));
    expect(takeBatch(many)).toHaveLength(100);
    const rows = Array.from({ length: 50 }, (_, index) => event(index + 1, 'usage_tick'));
    expect(takeBatch(rows)).toHaveLength(40);
    const large = Array.from({ length: 5 }, (_, index) => event(index + 1, 'x', { pad: 'ä'.repeat(4_000) }));
    const taken = takeBatch(large);
    expect(Buffer.byteLength(JSON.stringify(taken))).toBeLessThanOrEqual(BATCH_MAX_BYTES);
    expect(taken).toHaveLength(3);
    expect(BATCH_MAX_BYTES).toBeLessThan(FRAME_MAX_BYTES);
  });
});
