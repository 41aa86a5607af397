import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue, type Urgency } from '../../../../runner-image/src/transport/fair-queue.ts';
import { FairSender } from '../../../../runner-image/src/transport/fair-sender.ts';
import {
  FRAME_MAX_BYTES,
  LINE_FIRST_MAX_BYTES,
  LINE_QUEUE_MAX_BYTES,
  LINE_WINDOW_BYTES,
} from '../../../../shared/limits.ts';

const frame = (session: string, sizeBytes: number, number = 0) => ({
  text: `${session}${String(number).padStart(6, '0')}`.padEnd(sizeBytes, '.'),
  sizeBytes,
});

describe('fair queue', () => {
  const all = (queue: FairQueue): string[] => {
    const taken: string[] = [];
    for (let next = queue.take(); next; next = queue.take()) taken.push(next.text.slice(0, 7));
    return taken;
  };
  const sessionsOf = (taken: readonly string[]) => taken.map((text) => text[0]).join('');

  it('sends what answers before what is watched, the sessions in turn', () => {
    const queue = new FairQueue(2);
    for (const session of ['a', 'b']) {
      queue.push(session, frame(session, 100), 'bulk');
      queue.push(session, frame(session.toUpperCase(), 100), 'first');
      queue.push(session, frame(session.toUpperCase(), 100), 'first');
    }
    expect(sessionsOf(all(queue))).toBe('ABABab');
  });

  it('lets a quiet session go before those that flood, and not again and again', () => {
    const queue = new FairQueue(3);
    for (let index = 0; index < 10; index += 1)
      for (const session of ['a', 'b']) queue.push(session, frame(session, FRAME_MAX_BYTES), 'bulk');
    expect([queue.take(), queue.take(), queue.take()].map((taken) => taken?.text[0])).toEqual(['a', 'b', 'a']);
    queue.push('c', frame('c', 300), 'bulk');
    expect(queue.take()?.text[0]).toBe('c');
    const order: (string | undefined)[] = [];
    for (let turn = 0; turn < 6; turn += 1) {
      queue.push('c', frame('c', FRAME_MAX_BYTES), 'bulk');
      order.push(queue.take()?.text[0]);
    }
    // c floods too now: nobody waits longer than one turn of each other.
    expect(order.filter((session) => session === 'c').length).toBeLessThanOrEqual(3);
    expect(order).toContain('a');
    expect(order).toContain('b');
  });

  it('shares by bytes, not by frames', () => {
    const queue = new FairQueue(2);
    for (let index = 0; index < 640; index += 1) queue.push('a', frame('a', 1_000), 'bulk');
    for (let index = 0; index < 20; index += 1) queue.push('b', frame('b', FRAME_MAX_BYTES), 'bulk');
    const sent = { a: 0, b: 0 };
    for (let index = 0; index < 300; index += 1) {
      const taken = queue.take();
      if (taken?.text[0] === 'a') sent.a += taken.sizeBytes;
      else sent.b += taken?.sizeBytes ?? 0;
    }
    expect(Math.abs(sent.a - sent.b)).toBeLessThanOrEqual(2 * FRAME_MAX_BYTES);
  });

  it('drops what is beyond a session’s part, of that session alone', () => {
    const queue = new FairQueue(4);
    let kept = 0;
    while (queue.push('a', frame('a', FRAME_MAX_BYTES), 'bulk')) kept += 1;
    expect(kept).toBe(LINE_QUEUE_MAX_BYTES / 4 / FRAME_MAX_BYTES);
    expect(queue.push('b', frame('b', FRAME_MAX_BYTES), 'bulk')).toBe(true);
    let answers = 0;
    while (queue.push('a', frame('a', FRAME_MAX_BYTES), 'first')) answers += 1;
    expect(answers).toBe(LINE_FIRST_MAX_BYTES / FRAME_MAX_BYTES);
  });

  it('keeps each session’s order, loses nothing, and counts right, whatever comes', () => {
    const step = fc.record({
      session: fc.constantFrom('a', 'b', 'c'),
      sizeBytes: fc.integer({ min: 7, max: FRAME_MAX_BYTES }),
      urgency: fc.constantFrom<Urgency>('first', 'bulk'),
      takes: fc.nat(3),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new FairQueue(3);
        const pushed = new Map<string, string[]>();
        const taken = new Map<string, string[]>();
        let waiting = 0;
        const note = (map: Map<string, string[]>, lane: string, text: string) =>
          map.set(lane, [...(map.get(lane) ?? []), text]);
        const take = (): boolean => {
          const next = queue.take();
          if (!next) return false;
          waiting -= next.sizeBytes;
          note(taken, next.text[0] ?? '', next.text.slice(0, 7));
          return true;
        };
        steps.forEach(({ session, sizeBytes, urgency, takes }, number) => {
          const lane = urgency === 'first' ? session.toUpperCase() : session;
          const made = frame(lane, sizeBytes, number);
          if (queue.push(session, made, urgency)) {
            waiting += sizeBytes;
            note(pushed, lane, made.text.slice(0, 7));
          }
          for (let count = 0; count < takes; count += 1) take();
          expect(queue.sizeBytes).toBe(waiting);
        });
        while (take());
        expect(taken).toEqual(pushed);
        expect([queue.sizeBytes, queue.bulkBytes('a')]).toEqual([0, 0]);
      }),
      { numRuns: 200 },
    );
  });

  it('forgets a session that is over, with what waits of it', () => {
    const queue = new FairQueue(2);
    queue.push('a', frame('a', 100), 'bulk');
    queue.push('a', frame('a', 100), 'first');
    queue.push('b', frame('b', 100), 'bulk');
    queue.forget('a');
    expect([queue.busy, queue.sizeBytes]).toEqual([1, 100]);
    expect(all(queue)).toEqual(['b000000']);
  });
});

describe('fair sender', () => {
  const setup = (capacity = 2) => {
    const sent: string[] = [];
    const arrivals: (() => void)[] = [];
    let isThere = true;
    const sender = new FairSender({
      capacity,
      transmit: (text, onSent) => {
        if (!isThere) return false;
        sent.push(text);
        arrivals.push(onSent);
        return true;
      },
    });
    return { sender, sent, arrivals, lose: () => (isThere = false) };
  };
  const big = (session: string) => session.repeat(FRAME_MAX_BYTES);

  it('says when there is no line, and keeps nothing then', () => {
    const { sender, sent } = setup();
    expect(sender.send('a', 'x')).toBe(false);
    sender.onUp();
    expect(sent).toEqual([]);
    expect(sender.send('a', 'x')).toBe(true);
    expect(sent).toEqual(['x']);
  });

  it('keeps the socket short: a keystroke’s echo waits for one window at most, however much another session floods', () => {
    const { sender, sent, arrivals } = setup();
    sender.onUp();
    for (let index = 0; index < 40; index += 1) sender.send('a', big('a'), 'bulk');
    expect(sent).toHaveLength(LINE_WINDOW_BYTES / FRAME_MAX_BYTES);
    sender.send('b', 'echo', 'bulk');
    sender.send('a', 'acknowledgement');
    arrivals[0]?.();
    expect(sent.slice(2)).toEqual(['acknowledgement', 'echo', big('a')]);
  });

  it('shares the bound of the line between those that wait', () => {
    const { sender } = setup();
    sender.onUp();
    for (let index = 0; index < 6; index += 1) sender.send('a', big('a'), 'bulk');
    expect(sender.bufferedBytes('a')).toBe(4 * FRAME_MAX_BYTES);
    expect(sender.bufferedBytes('b')).toBe(0);
    sender.send('b', big('b'), 'bulk');
    expect(sender.bufferedBytes('a')).toBe(2 * 4 * FRAME_MAX_BYTES);
    expect(sender.bufferedBytes('b')).toBe(2 * FRAME_MAX_BYTES);
  });

  it('forgets what waited when the line goes, and counts a new line from nothing', () => {
    const { sender, sent, arrivals } = setup();
    sender.onUp();
    for (let index = 0; index < 6; index += 1) sender.send('a', big('a'), 'bulk');
    sender.onDown();
    expect([sender.waitingBytes, sender.send('a', 'x')]).toEqual([0, false]);
    sender.onUp();
    for (const arrived of arrivals.splice(0)) arrived();
    for (let index = 0; index < 6; index += 1) sender.send('a', big('b'), 'bulk');
    expect(sent.filter((text) => text === big('b'))).toHaveLength(LINE_WINDOW_BYTES / FRAME_MAX_BYTES);
  });

  it('goes on with what waits on the line that takes over', () => {
    const { sender, sent } = setup();
    sender.onUp();
    for (let index = 0; index < 4; index += 1) sender.send('a', big('a'), 'bulk');
    sender.onUp();
    expect(sent).toHaveLength(4);
  });

  it('refuses the frame that would cut everybody’s line, in the session that sends it', () => {
    const { sender } = setup();
    sender.onUp();
    expect(() => sender.send('a', `${big('a')}x`, 'bulk')).toThrow('a frame of');
  });

  it('counts what it had to drop', () => {
    const { sender } = setup(32);
    sender.onUp();
    for (let index = 0; index < 40; index += 1) sender.send('a', big('a'), 'bulk');
    expect(sender.dropped).toBe(40 - LINE_WINDOW_BYTES / FRAME_MAX_BYTES - LINE_QUEUE_MAX_BYTES / 32 / FRAME_MAX_BYTES);
  });

  it('stops when the line is gone without a word', () => {
    const { sender, lose } = setup();
    sender.onUp();
    lose();
    expect(sender.send('a', 'x')).toBe(true);
    expect(sender.send('a', 'y')).toBe(false);
  });
});
