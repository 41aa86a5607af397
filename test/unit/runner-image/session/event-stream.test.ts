import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { silentLog } from '../../../../runner-image/src/log.ts';
import { EventStream } from '../../../../runner-image/src/session/event-stream.ts';
import type { SavedLane } from '../../../../runner-image/src/session/input-order.ts';
import { type Keyboard, Typing } from '../../../../runner-image/src/session/typing.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { LATE_ANSWER_MS, LINGER_UNWATCHED_MS, RESEND_FIRST_MS } from '../../../../shared/limits.ts';
import { manualClock } from '../manual-clock.ts';

const sessionId = 'ses_01J0000000000000000000000A';
const Batch = z.looseObject({
  firstRseq: z.number(),
  events: z.array(z.looseObject({ type: z.string(), rseq: z.number() })),
});
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'events-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const setup = (clock = manualClock()) => {
  const sent: z.infer<typeof Batch>[] = [];
  const log: string[] = [];
  const line = { isUp: true };
  const events = new EventStream({
    identity: { sessionId, tenantId: 'local', epoch: 1 },
    capability: 'cap',
    journalPath: join(folder, 'journal'),
    clock,
    bootMs: () => clock.monotonicMs(),
    log: silentLog,
    send: (frame) => {
      if (line.isUp) sent.push(Batch.parse(JSON.parse(frame)));
      return line.isUp;
    },
    offset: () => 7,
    onProven: () => log.push('proven'),
    onOver: (reason) => log.push(reason),
    onBroken: () => log.push('broken'),
    onFull: (isFull) => log.push(`full ${isFull}`),
  });
  const ack = (firstRseq: number, ackedRseq: number) =>
    events.onAck({ type: 'ack', sessionId, epoch: 1, firstRseq, ackedRseq, headSeq: 0, grants: [] });
  return { clock, events, sent, log, line, ack };
};
const record = (events: EventStream, ...drafts: readonly EventDraft[]) =>
  events.record(drafts.map((draft) => events.placed(draft)));
const urgent = { type: 'session_frozen', frozen: true, reason: 'x' } as const;

describe('EventStream', () => {
  it('sends nothing before the welcome, then everything in one batch', () => {
    const { events, sent } = setup();
    record(events, { type: 'provider_idle', turnsDone: 1 });
    record(events, urgent);
    expect(sent).toEqual([]);
    events.onWelcome(0);
    expect(sent).toHaveLength(1);
    expect(sent[0]?.events.map(({ rseq }) => rseq)).toEqual([1, 2]);
  });

  it('lets events linger, keeps those together that are recorded together, and resends', () => {
    const { events, sent, clock, ack } = setup();
    events.onWelcome(0);
    record(events, { type: 'provider_idle', turnsDone: 1 });
    clock.advance(LINGER_UNWATCHED_MS);
    expect(sent).toHaveLength(1);
    ack(1, 1);
    record(events, urgent, { type: 'session_ended', state: 'failed', reason: null, durationMs: 1 });
    expect(sent[1]?.events.map(({ type }) => type)).toEqual(['session_frozen', 'session_ended']);
    clock.advance(RESEND_FIRST_MS);
    expect(sent).toHaveLength(3);
    expect(sent[2]).toEqual(sent[1]);
  });

  it('is drained when a closed epoch answers to the last batch sent again: it is kept there', async () => {
    const { events, clock, log } = setup();
    const closed = (expected: number) =>
      events.onNack({ type: 'nack', sessionId, epoch: 1, firstRseq: 1, reason: 'closed', expected });
    events.onWelcome(0);
    record(events, urgent, { type: 'session_ended', state: 'failed', reason: null, durationMs: 1 });
    clock.advance(RESEND_FIRST_MS);
    const drained = events.drained(60_000);
    closed(3);
    expect(await drained).toBe(true);
    expect(log).toEqual(['closed']);
  });

  it('is not drained when a closed epoch did not take the batch twice, and waits no longer', async () => {
    const { events, sent, log } = setup();
    events.onWelcome(0);
    record(events, urgent);
    const drained = events.drained(60_000);
    // The first may be the answer to an empty batch of the same number.
    for (const times of [2, 2]) {
      events.onNack({ type: 'nack', sessionId, epoch: 1, firstRseq: 1, reason: 'closed', expected: 1 });
      expect(sent).toHaveLength(times);
    }
    expect(await drained).toBe(false);
    expect([log, events.isBroken]).toEqual([['closed'], true]);
  });

  it('goes on with what was recorded once its epoch is over elsewhere, and with nothing else', async () => {
    const { events, sent, clock, log, ack } = setup();
    const kept = (firstRseq: number, lastRseq: number, reason: 'closed' | 'stale_epoch' = 'closed') =>
      events.onNack({ type: 'nack', sessionId, epoch: 1, firstRseq, reason, expected: lastRseq + 1 });
    events.onWelcome(0);
    record(events, urgent);
    for (let text = 0; text < 4; text += 1)
      record(events, { type: 'provider_message', role: 'assistant', text: 'x'.repeat(7_500) });
    events.wish({ kind: 'transcript', number: 1, sizeBytes: 1, sha256Base64: 'a'.repeat(44) }, true);
    expect(sent.map(({ firstRseq }) => firstRseq)).toEqual([1]);
    kept(1, 1);
    expect(sent.map(({ firstRseq }) => firstRseq)).toEqual([1, 2]);
    const drained = events.drained(600_000);
    kept(2, 4, 'stale_epoch');
    // The answer was lost, and what was stored before the closing is acknowledged.
    ack(5, 5);
    expect(await drained).toBe(true);
    record(events, { type: 'provider_idle', turnsDone: 1 });
    events.flush(true);
    kept(6, 6);
    clock.advance(600_000);
    expect(sent.map(({ events: carried }) => carried.map(({ rseq }) => rseq))).toEqual([[1], [2, 3, 4], [5], [6]]);
    expect(log).toEqual(['closed']);
  });

  it('forgets an empty batch in flight when its epoch is over', () => {
    const { events, sent } = setup();
    events.onWelcome(0);
    events.flush(true);
    record(events, urgent);
    expect(sent.map(({ events: carried }) => carried.length)).toEqual([0]);
    events.onNack({ type: 'nack', sessionId, epoch: 1, firstRseq: 1, reason: 'closed', expected: 1 });
    expect(sent.map(({ events: carried }) => carried.length)).toEqual([0, 1]);
  });

  it('waits for what is late only as long as each answer comes in time', async () => {
    const { events, clock } = setup();
    events.onWelcome(0);
    for (let text = 0; text < 4; text += 1)
      record(events, { type: 'provider_message', role: 'assistant', text: 'x'.repeat(7_500) });
    const drained = events.drained(600_000);
    let isOver = false;
    void drained.then(() => {
      isOver = true;
    });
    events.becomeLate();
    clock.advance(LATE_ANSWER_MS - 1);
    events.onNack({ type: 'nack', sessionId, epoch: 1, firstRseq: 1, reason: 'closed', expected: 4 });
    clock.advance(LATE_ANSWER_MS - 1);
    await Promise.resolve();
    expect(isOver).toBe(false);
    clock.advance(1);
    expect(await drained).toBe(false);
  });

  it('waits no longer once no line can come', async () => {
    const { events } = setup();
    record(events, urgent);
    const drained = events.drained(60_000);
    events.giveUp();
    expect(await drained).toBe(false);
  });

  it('keeps everything over a cut and a crash, and sends what was in flight first', () => {
    const first = setup();
    first.events.onWelcome(0);
    record(first.events, urgent);
    first.events.onDown();
    first.line.isUp = false;
    record(first.events, urgent);
    first.events.close(false);
    const second = setup(first.clock);
    expect(second.events.nextRseq).toBe(3);
    second.events.onWelcome(0);
    expect(second.sent).toEqual(first.sent);
    second.ack(1, 1);
    expect(second.sent[1]?.events.map(({ rseq }) => rseq)).toEqual([2]);
    expect(second.log).toEqual(['proven']);
  });

  it('tells when all is delivered, and when that cannot come', async () => {
    const { events, clock, ack } = setup();
    events.onWelcome(0);
    record(events, urgent);
    const delivered = events.drained(1_000);
    ack(1, 1);
    expect(await delivered).toBe(true);
    record(events, urgent);
    const late = events.drained(1_000);
    clock.advance(1_000);
    expect(await late).toBe(false);
    const never = events.drained(1_000_000);
    events.onNack({ type: 'nack', sessionId, epoch: 1, firstRseq: 2, reason: 'other_digest', expected: 1 });
    expect(await never).toBe(false);
  });

  it('stops sending at other_digest, also of what is late', () => {
    for (const isLate of [false, true]) {
      const { events, sent, log, clock } = setup();
      events.onWelcome(0);
      record(events, urgent);
      if (isLate) events.becomeLate();
      events.onNack({ type: 'nack', sessionId, epoch: 1, firstRseq: 1, reason: 'other_digest', expected: 1 });
      record(events, urgent);
      clock.advance(600_000);
      expect(sent).toHaveLength(1);
      expect(log).toEqual(isLate ? [] : ['broken']);
      events.close(true);
    }
  });
});

describe('Typing', () => {
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const setupTyping = (lanes: readonly SavedLane[] = []) => {
    const saves: SavedLane[][] = [];
    const clock = manualClock();
    const typed: string[] = [];
    const sent: unknown[] = [];
    const recorded: { type: string }[] = [];
    const typing: Typing = new Typing({
      ...{ sessionId, epoch: 1, capability: 'cap', clock, log: silentLog },
      send: (frame) => sent.push(JSON.parse(frame)),
      record: (draft) => recorded.push(draft),
      onTyped: () => {},
      save: () => void saves.push(typing.saved().lanes),
      lanes,
    });
    typing.setControl({ controllerId: 'view-a', controlTerm: 1 });
    const input = (inputSeq: number, data: string, submit = false) =>
      typing.onInput({ viewerId: 'view-a', source: 'viewer', controlTerm: 1, inputSeq, data, submit });
    const keyboard: Keyboard = {
      type: async (data: string) => void typed.push(data),
      promptsFull: () => null,
      submit: async (text: string) => {
        typed.push(`<${text}>`);
        return { kind: 'sent' as const };
      },
    };
    return { clock, typed, sent, recorded, saves, typing, input, keyboard };
  };

  it('types in the same turn, submits in the way of the CLI, and tells once what was typed', async () => {
    const { clock, typed, sent, recorded, typing, input, keyboard } = setupTyping();
    typing.setKeyboard(keyboard);
    input(1, 'a');
    input(2, 'do it', true);
    expect(typed).toEqual(['a', '<do it>']);
    expect(sent).toEqual([]);
    await settled();
    clock.advance(25);
    expect(sent).toMatchObject([{ type: 'input_ack', inputSeq: 2 }]);
    input(3, 'b');
    typing.onInput({ viewerId: 'view-b', source: 'viewer', controlTerm: 1, inputSeq: 1, data: 'x' });
    await settled();
    expect(sent.slice(1)).toMatchObject([
      { type: 'input_ack', inputSeq: 3, viewerId: 'view-a' },
      { type: 'input_reset', reason: 'not_controller', viewerId: 'view-b' },
    ]);
    input(4, 'c');
    await settled();
    typing.end();
    expect(sent.slice(3)).toMatchObject([{ type: 'input_ack', inputSeq: 4 }]);
    typing.setKeyboard(keyboard);
    clock.advance(60_000);
    expect(recorded).toEqual([{ type: 'input_received', viewerId: 'view-a', sizeBytes: 8, source: 'viewer' }]);
  });

  it('refuses visibly while nothing runs, gives holes up after their time, and tells input that got lost', async () => {
    const { clock, sent, recorded, typing, input, keyboard } = setupTyping();
    input(1, 'a');
    await settled();
    expect(sent).toMatchObject([{ type: 'input_reset', reason: 'not_running', expected: 1_001 }]);
    typing.setKeyboard({ ...keyboard, type: () => Promise.reject(new Error('input_full')) });
    input(1_002, 'b');
    clock.advance(1_000);
    await settled();
    expect(sent.at(-1)).toMatchObject({ type: 'input_reset', reason: 'hole' });
    input(2_002, 'c');
    await settled();
    expect(recorded).toMatchObject([{ type: 'alert_raised', code: 'input_lost' }]);
    typing.end();
  });

  it('acknowledges nothing that the terminal does not have yet', async () => {
    const { clock, sent, typing, input, keyboard } = setupTyping();
    const written = Promise.withResolvers<void>();
    typing.setKeyboard({ ...keyboard, type: () => written.promise });
    input(1, 'a');
    await settled();
    clock.advance(1_000);
    expect(sent).toEqual([]);
    written.resolve();
    await settled();
    clock.advance(25);
    expect(sent).toMatchObject([{ type: 'input_ack', inputSeq: 1 }]);
  });

  it('goes on after a crash from what the terminal has, and repeats a reset as the same one', async () => {
    const before = setupTyping();
    const lanes: [string, number][] = [];
    before.typing.setKeyboard({
      ...before.keyboard,
      type: async (_data, once) => void (once && lanes.push([once.lane, once.number])),
    });
    before.input(1, 'a');
    before.input(2, 'b');
    before.typing.onInput({ viewerId: 'view-b', source: 'viewer', controlTerm: 1, inputSeq: 4, data: 'x' });
    await settled();
    expect(before.saves).toHaveLength(1);
    // What was typed after the last save is known by the terminal alone.
    before.input(3, 'c');
    const after = setupTyping(before.saves.at(-1));
    after.typing.restore([...lanes, ['prompt', 9]]);
    after.typing.setKeyboard(after.keyboard);
    after.input(3, 'c');
    after.input(4, 'd');
    after.typing.onInput({ viewerId: 'view-b', source: 'viewer', controlTerm: 1, inputSeq: 4, data: 'x' });
    await settled();
    after.clock.advance(25);
    expect(after.typed).toEqual(['d']);
    const resets = [...before.sent, ...after.sent].filter(
      (frame) => (frame as { type: string }).type === 'input_reset',
    );
    expect(resets).toHaveLength(2);
    expect(resets[1]).toEqual(resets[0]);
    expect(after.sent).toContainEqual(expect.objectContaining({ type: 'input_ack', inputSeq: 4 }));
  });
});
