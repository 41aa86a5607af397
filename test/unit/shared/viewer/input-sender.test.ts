/** Typed text arrives once and in order, or the person is told; never in somebody else's turn. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FRAME_ENVELOPE_BYTES,
  FRAME_MAX_BYTES,
  INPUT_MAX_BYTES,
  INPUT_MAX_HELD_FRAMES,
} from '../../../../shared/limits.ts';
import { inputPieces } from '../../../../shared/viewer/input-pieces.ts';
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
    expect(new InputSender().type('abc', 0)).toEqual({ send: [], loss: { characters: 3, reason: 'not_controller' } });
  });

  it('refuses visibly when too much waits', () => {
    const sender = controlling();
    for (let index = 0; index < INPUT_MAX_HELD_FRAMES; index += 1) sender.type('x', 0);
    expect(sender.type('yz', 0)).toEqual({ send: [], loss: { characters: 2, reason: 'too_fast' } });
    expect(sender.unackedCount).toBe(INPUT_MAX_HELD_FRAMES);
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
    expect(sender.control(5, 100)).toEqual({ resend: [], loss: { characters: 3, reason: 'control_moved' } });
    expect(sender.tick(60_000)).toEqual([]);
  });

  it('never happens after control was lost, even if the same term were named again', () => {
    const sender = controlling(3);
    sender.type('x', 0);
    expect(sender.control(null, 0).loss).toEqual({ characters: 1, reason: 'control_moved' });
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
    expect(sender.reset(reset(1_002))).toEqual({ characters: 4, reason: 'hole' });
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
        const pieces = inputPieces(whole);
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
