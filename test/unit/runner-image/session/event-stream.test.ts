import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { silentLog } from '../../../../runner-image/src/log.ts';
import { EventStream } from '../../../../runner-image/src/session/event-stream.ts';
import { Typing } from '../../../../runner-image/src/session/typing.ts';
import { LINGER_UNWATCHED_MS, RESEND_FIRST_MS } from '../../../../shared/limits.ts';
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
const urgent = { type: 'session_frozen', frozen: true, reason: 'x' } as const;

describe('EventStream', () => {
  it('sends nothing before the welcome, then everything in one batch', () => {
    const { events, sent } = setup();
    events.record({ type: 'provider_idle', turnsDone: 1 });
    events.record(urgent);
    expect(sent).toEqual([]);
    events.onWelcome(0);
    expect(sent).toHaveLength(1);
    expect(sent[0]?.events.map(({ rseq }) => rseq)).toEqual([1, 2]);
  });

  it('lets events linger, keeps those together that are recorded together, and resends', () => {
    const { events, sent, clock, ack } = setup();
    events.onWelcome(0);
    events.record({ type: 'provider_idle', turnsDone: 1 });
    clock.advance(LINGER_UNWATCHED_MS);
    expect(sent).toHaveLength(1);
    ack(1, 1);
    events.record(urgent, { type: 'session_ended', state: 'failed', reason: null, durationMs: 1 });
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
    events.record(urgent, { type: 'session_ended', state: 'failed', reason: null, durationMs: 1 });
    clock.advance(RESEND_FIRST_MS);
    const drained = events.drained(60_000);
    closed(3);
    expect(await drained).toBe(true);
    expect(log).toEqual(['closed']);
  });

  it('is not drained when a closed epoch did not take the batch, and waits no longer', async () => {
    const { events } = setup();
    events.onWelcome(0);
    events.record(urgent);
    const drained = events.drained(60_000);
    events.onNack({ type: 'nack', sessionId, epoch: 1, firstRseq: 1, reason: 'closed', expected: 1 });
    expect(await drained).toBe(false);
  });

  it('waits no longer once no line can come', async () => {
    const { events } = setup();
    events.record(urgent);
    const drained = events.drained(60_000);
    events.giveUp();
    expect(await drained).toBe(false);
  });

  it('keeps everything over a cut and a crash, and sends what was in flight first', () => {
    const first = setup();
    first.events.onWelcome(0);
    first.events.record(urgent);
    first.events.onDown();
    first.line.isUp = false;
    first.events.record(urgent);
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
    events.record(urgent);
    const delivered = events.drained(1_000);
    ack(1, 1);
    expect(await delivered).toBe(true);
    events.record(urgent);
    const late = events.drained(1_000);
    clock.advance(1_000);
    expect(await late).toBe(false);
    const never = events.drained(1_000_000);
    events.onNack({ type: 'nack', sessionId, epoch: 1, firstRseq: 2, reason: 'stale_epoch', expected: 1 });
    expect(await never).toBe(false);
  });

  it.each([
    ['stale_epoch', ['stale_epoch']],
    ['other_digest', ['broken']],
  ] as const)('stops sending at %s', (reason, expected) => {
    const { events, sent, log, clock } = setup();
    events.onWelcome(0);
    events.record(urgent);
    events.onNack({ type: 'nack', sessionId, epoch: 1, firstRseq: 1, reason, expected: 1 });
    events.record(urgent);
    clock.advance(600_000);
    expect(sent).toHaveLength(1);
    expect(log).toEqual(expected);
  });
});

describe('Typing', () => {
  const setupTyping = () => {
    const clock = manualClock();
    const typed: string[] = [];
    const sent: unknown[] = [];
    const recorded: { type: string }[] = [];
    const typing = new Typing({
      ...{ sessionId, epoch: 1, capability: 'cap', clock, log: silentLog },
      send: (frame) => sent.push(JSON.parse(frame)),
      record: (draft) => recorded.push(draft),
      onTyped: () => {},
    });
    typing.setControl({ controllerId: 'view-a', controlTerm: 1 });
    const input = (inputSeq: number, data: string, submit = false) =>
      typing.onInput({ viewerId: 'view-a', source: 'viewer', controlTerm: 1, inputSeq, data, submit });
    const keyboard = {
      type: async (data: string) => void typed.push(data),
      submit: async (text: string) => {
        typed.push(`<${text}>`);
        return { kind: 'sent' as const };
      },
    };
    return { clock, typed, sent, recorded, typing, input, keyboard };
  };

  it('types in the same turn, submits in the way of the CLI, and tells once what was typed', () => {
    const { clock, typed, sent, recorded, typing, input, keyboard } = setupTyping();
    typing.setKeyboard(keyboard);
    input(1, 'a');
    input(2, 'do it', true);
    expect(typed).toEqual(['a', '<do it>']);
    expect(sent).toEqual([]);
    clock.advance(25);
    expect(sent).toMatchObject([{ type: 'input_ack', inputSeq: 2 }]);
    input(3, 'b');
    typing.onInput({ viewerId: 'view-b', source: 'viewer', controlTerm: 1, inputSeq: 1, data: 'x' });
    expect(sent.slice(1)).toMatchObject([
      { type: 'input_ack', inputSeq: 3, viewerId: 'view-a' },
      { type: 'input_reset', reason: 'not_controller', viewerId: 'view-b' },
    ]);
    input(4, 'c');
    typing.end();
    expect(sent.slice(3)).toMatchObject([{ type: 'input_ack', inputSeq: 4 }]);
    typing.setKeyboard(keyboard);
    clock.advance(60_000);
    expect(recorded).toEqual([{ type: 'input_received', viewerId: 'view-a', sizeBytes: 8, source: 'viewer' }]);
  });

  it('refuses visibly while nothing runs, gives holes up after their time, and tells input that got lost', async () => {
    const { clock, sent, recorded, typing, input, keyboard } = setupTyping();
    input(1, 'a');
    expect(sent).toMatchObject([{ type: 'input_reset', reason: 'not_running', expected: 1_001 }]);
    typing.setKeyboard({ ...keyboard, type: () => Promise.reject(new Error('input_full')) });
    input(1_002, 'b');
    clock.advance(1_000);
    expect(sent.at(-1)).toMatchObject({ type: 'input_reset', reason: 'hole' });
    input(2_002, 'c');
    await new Promise((resolve) => setImmediate(resolve));
    expect(recorded).toMatchObject([{ type: 'alert_raised', code: 'input_lost' }]);
    typing.end();
  });
});
