/** Typed text arrives once and in order, or the person is told; never in somebody else's turn. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FRAME_ENVELOPE_BYTES,
  FRAME_MAX_BYTES,
  INPUT_MAX_BYTES,
  INPUT_WAITING_MAX_CHARS,
  INPUT_WINDOW_FRAMES,
} from '../../../../shared/limits.ts';
import { firstInputPiece } from '../../../../shared/viewer/input-pieces.ts';
import { InputSender } from '../../../../shared/viewer/input-sender.ts';

const controlling = (term = 1) => {
  const sender = new InputSender();
  sender.control(term, 0);
  return sender;
};

describe('numbering', () => {
  it('counts from 1 and carries the term', () => {
    const sender = controlling(7);
    expect(sender.type('a', 0).send).toEqual([{ inputSeq: 1, controlTerm: 7, data: 'a' }]);
    expect(sender.type('b', 0).send).toEqual([{ inputSeq: 2, controlTerm: 7, data: 'b' }]);
  });

  it('refuses visibly as a watcher', () => {
    expect(new InputSender().type('abc', 0)).toEqual({
      send: [],
      loss: { characters: 3, text: 'abc', reason: 'not_controller' },
    });
  });
});

describe('typing faster than acks come', () => {
  const full = () => {
    const sender = controlling();
    for (let seq = 1; seq <= INPUT_WINDOW_FRAMES; seq += 1)
      expect(sender.type('x', 0).send).toEqual([{ inputSeq: seq, controlTerm: 1, data: 'x' }]);
    return sender;
  };

  it('sends each key at once while the window is open, then lets keys wait and share the frame after an ack', () => {
    const sender = full();
    for (const key of ['a', 'b', 'c']) expect(sender.type(key, 0)).toEqual({ send: [], loss: null });
    expect(sender.acked({ inputSeq: 1, controlTerm: 1 }, 10)).toEqual([
      { inputSeq: INPUT_WINDOW_FRAMES + 1, controlTerm: 1, data: 'abc' },
    ]);
    expect(sender.acked({ inputSeq: 1, controlTerm: 1 }, 10)).toEqual([]);
    expect(sender.unackedCount).toBe(INPUT_WINDOW_FRAMES);
  });

  it('cuts what waited into frames that fit, and no more of them than the window takes', () => {
    const sender = full();
    sender.type('y'.repeat(3 * INPUT_MAX_BYTES), 0);
    const two = sender.acked({ inputSeq: 2, controlTerm: 1 }, 0);
    expect(two.map(({ data }) => data.length)).toEqual([INPUT_MAX_BYTES, INPUT_MAX_BYTES]);
    sender.type('z', 0);
    const rest = sender.acked({ inputSeq: 3, controlTerm: 1 }, 0);
    expect(rest.map(({ data }) => data)).toEqual(['y'.repeat(INPUT_MAX_BYTES)]);
    expect(sender.acked({ inputSeq: 4, controlTerm: 1 }, 0)).toMatchObject([{ data: 'z' }]);
  });

  it('resends what was sent, byte for byte, and nothing that waits', () => {
    const sender = full();
    sender.type('abc', 0);
    expect(sender.tick(400).map(({ data }) => data)).toEqual(Array(INPUT_WINDOW_FRAMES).fill('x'));
    expect(sender.control(1, 500).resend).toHaveLength(INPUT_WINDOW_FRAMES);
  });

  it('refuses visibly what is beyond the cap, and keeps what waits', () => {
    const sender = full();
    expect(sender.type('w'.repeat(INPUT_WAITING_MAX_CHARS), 0).loss).toBeNull();
    expect(sender.type('yz', 0)).toEqual({ send: [], loss: { characters: 2, text: 'yz', reason: 'too_fast' } });
    const sent = sender.leave();
    expect(sent.map(({ data }) => data).join('')).toBe('w'.repeat(INPUT_WAITING_MAX_CHARS));
  });

  it('counts what waited as lost with what it followed, and never sends it in another term or behind a hole', () => {
    const moved = full();
    moved.type('abc', 0);
    expect(moved.control(2, 0).loss).toMatchObject({ characters: INPUT_WINDOW_FRAMES + 3, reason: 'control_moved' });
    expect(moved.leave()).toEqual([]);
    const holed = full();
    holed.type('abc', 0);
    const reset = { expected: 1_017, controlTerm: 1, reason: 'hole' as const };
    expect(holed.reset(reset)).toMatchObject({ characters: INPUT_WINDOW_FRAMES + 3, reason: 'hole' });
    expect(holed.type('d', 0).send).toEqual([{ inputSeq: 1_017, controlTerm: 1, data: 'd' }]);
    for (let count = 1; count <= INPUT_WINDOW_FRAMES; count += 1) holed.type('d', 0);
    expect(holed.reset(reset)).toBeNull();
    expect(holed.leave()).toMatchObject([{ inputSeq: 1_017 + INPUT_WINDOW_FRAMES, data: 'd' }]);
  });
});

describe('resending', () => {
  it('happens within the same term, with the same numbers', () => {
    const sender = controlling(3);
    sender.type('a', 0);
    sender.type('b', 0);
    sender.acked({ inputSeq: 1, controlTerm: 3 }, 0);
    expect(sender.control(3, 100)).toEqual({ resend: [{ inputSeq: 2, controlTerm: 3, data: 'b' }], loss: null });
  });

  it('never happens in another term: the person is told', () => {
    const sender = controlling(3);
    sender.type('rm ', 0);
    expect(sender.control(5, 100)).toMatchObject({ resend: [], loss: { characters: 3, reason: 'control_moved' } });
    expect(sender.tick(60_000)).toEqual([]);
  });

  it('never happens after control was lost, even if the same term were named again', () => {
    const sender = controlling(3);
    sender.type('x', 0);
    expect(sender.control(null, 0).loss).toMatchObject({ characters: 1, reason: 'control_moved' });
    expect(sender.control(3, 0)).toEqual({ resend: [], loss: null });
  });

  it('is due after a while without an ack, ever more rarely', () => {
    const sender = controlling();
    sender.type('x', 0);
    expect(sender.tick(399)).toEqual([]);
    expect(sender.tick(400)).toHaveLength(1);
    expect(sender.tick(800)).toEqual([]);
    expect(sender.tick(1_200)).toHaveLength(1);
    sender.acked({ inputSeq: 1, controlTerm: 1 }, 1_300);
    expect(sender.tick(60_000)).toEqual([]);
  });
});

describe('input_reset', () => {
  const reset = (expected: number, controlTerm = 2) => ({ expected, controlTerm, reason: 'hole' as const });

  it('tells how much was lost and goes on from what the runner expects', () => {
    const sender = controlling(2);
    sender.type('ab', 0);
    sender.type('cd', 0);
    expect(sender.reset(reset(1_002))).toMatchObject({ characters: 4, reason: 'hole' });
    expect(sender.type('e', 0).send).toEqual([{ inputSeq: 1_002, controlTerm: 2, data: 'e' }]);
  });

  it('delivered twice does not drop what was typed after it', () => {
    const sender = controlling(2);
    sender.type('ab', 0);
    sender.reset(reset(1_001));
    sender.type('cd', 100);
    expect(sender.reset(reset(1_001))).toBeNull();
    expect(sender.unackedCount).toBe(1);
    expect(sender.type('e', 0).send).toMatchObject([{ inputSeq: 1_002 }]);
  });

  it('of another term is ignored', () => {
    const sender = controlling(2);
    sender.type('ab', 0);
    expect(sender.reset(reset(1_001, 1))).toBeNull();
    expect(sender.unackedCount).toBe(1);
  });

  it('does not outlive its term: the next one counts from 1 again', () => {
    const sender = controlling(2);
    sender.reset(reset(1_001));
    sender.control(null, 0);
    sender.control(2, 0);
    expect(sender.type('a', 0).send).toMatchObject([{ inputSeq: 1_001 }]);
    sender.control(4, 0);
    expect(sender.type('b', 0).send).toMatchObject([{ inputSeq: 1, controlTerm: 4 }]);
  });
});

describe('pieces', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '\u0000', '\u001b', '"', '\\', 'é', '🚀'), maxLength: 400 });

  it('join to the text and each fits a frame', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 60 }), (unit, times) => {
        const whole = unit.repeat(times);
        const pieces: string[] = [];
        for (let rest = whole; rest !== ''; rest = rest.slice(pieces.at(-1)?.length))
          pieces.push(firstInputPiece(rest));
        expect(pieces.join('')).toBe(whole);
        for (const piece of pieces) {
          expect(Buffer.byteLength(piece)).toBeLessThanOrEqual(INPUT_MAX_BYTES);
          expect(Buffer.byteLength(JSON.stringify(piece))).toBeLessThanOrEqual(FRAME_MAX_BYTES - FRAME_ENVELOPE_BYTES);
          expect(piece.isWellFormed()).toBe(true);
        }
      }),
    );
  });
});

describe('another epoch', () => {
  it('gets nothing that was typed before it, says so, and is numbered from 1 like its runner counts', () => {
    const sender = controlling();
    sender.type('y', 0);
    expect(sender.pendingChars).toBe(1);
    expect(sender.startEpoch()).toEqual({ characters: 1, text: 'y', reason: 'moved_on' });
    expect(sender.pendingChars).toBe(0);
    expect(sender.type('z', 0).send).toEqual([{ inputSeq: 1, controlTerm: 1, data: 'z' }]);
    expect(sender.acked({ inputSeq: 1, controlTerm: 1 }, 0)).toEqual([]);
    expect(sender.startEpoch()).toBeNull();
  });
});
