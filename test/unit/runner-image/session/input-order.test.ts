import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type InputFrame, InputOrder, type InputOutcome } from '../../../../runner-image/src/session/input-order.ts';
import { INPUT_HOLE_MS, INPUT_MAX_HELD_FRAMES, INPUT_RESET_JUMP } from '../../../../shared/limits.ts';

const frame = (inputSeq: number, over: Partial<InputFrame> = {}): InputFrame => ({
  viewerId: 'view-a',
  source: 'viewer',
  controlTerm: 1,
  inputSeq,
  data: String(inputSeq),
  ...over,
});
const typed = (outcome: InputOutcome) => outcome.deliver.map(({ data }) => data).join('');
const led = () => {
  const order = new InputOrder();
  order.setControl({ controllerId: 'view-a', controlTerm: 1 });
  return order;
};
const ack = (inputSeq: number) => ({ kind: 'ack', viewerId: 'view-a', controlTerm: 1, inputSeq });

describe('input order', () => {
  it('delivers in order, once, and acknowledges', () => {
    const order = led();
    expect(order.offer(frame(1), 0, true)).toEqual({ deliver: [frame(1)], replies: [ack(1)] });
    expect(typed(order.offer(frame(3), 0, true))).toBe('');
    expect(order.offer(frame(2), 0, true)).toEqual({ deliver: [frame(2), frame(3)], replies: [ack(3)] });
    expect(order.offer(frame(2), 0, true)).toEqual({ deliver: [], replies: [ack(3)] });
    expect(order.nextExpiryMs()).toBeNull();
  });

  it('never types past a hole: discards, says so, and takes only what was typed after the viewer knew', () => {
    const order = led();
    order.offer(frame(1), 0, true);
    order.offer(frame(3), 10, true);
    expect(order.nextExpiryMs()).toBe(10 + INPUT_HOLE_MS);
    expect(order.expire(9 + INPUT_HOLE_MS)).toEqual({ deliver: [], replies: [] });
    const reset = order.expire(10 + INPUT_HOLE_MS).replies[0];
    expect(reset).toMatchObject({ kind: 'reset', reason: 'hole' });
    const expected = reset?.kind === 'reset' ? reset.expected : 0;
    expect(expected).toBeGreaterThan(4);
    for (const late of [2, 3, 4])
      expect(order.offer(frame(late), 2_000, true)).toMatchObject({
        deliver: [],
        replies: [{ kind: 'reset', expected }],
      });
    expect(typed(order.offer(frame(expected), 2_000, true))).toBe(String(expected));
  });

  it('refuses whoever does not lead, visibly', () => {
    const order = led();
    expect(order.offer(frame(1, { viewerId: 'view-b' }), 0, true).replies).toMatchObject([
      { reason: 'not_controller', viewerId: 'view-b' },
    ]);
    order.setControl({ controllerId: 'view-b', controlTerm: 2 });
    expect(order.offer(frame(1), 0, true).replies).toMatchObject([{ reason: 'not_controller', controlTerm: 1 }]);
    order.setControl({ controllerId: 'view-a', controlTerm: 1 });
    expect(order.control).toEqual({ controllerId: 'view-b', controlTerm: 2 });
  });

  it('waits for the news of a take-over that its input overtook, but not for ever', () => {
    const order = led();
    const early = frame(1, { viewerId: 'view-b', controlTerm: 2 });
    expect(order.offer(early, 0, true)).toEqual({ deliver: [], replies: [] });
    expect(typed(order.setControl({ controllerId: 'view-b', controlTerm: 2 }))).toBe('1');
    expect(order.offer(frame(1, { viewerId: 'view-c', controlTerm: 9 }), 5, true)).toEqual({
      deliver: [],
      replies: [],
    });
    expect(order.expire(5 + INPUT_HOLE_MS).replies).toMatchObject([
      { kind: 'reset', reason: 'not_controller', viewerId: 'view-c' },
    ]);
  });

  it('refuses input while nothing runs, and more than it can hold', () => {
    const order = led();
    expect(order.offer(frame(1), 0, false).replies).toMatchObject([{ reason: 'not_running' }]);
    const full = led();
    for (let seq = 2; seq < INPUT_MAX_HELD_FRAMES + 2; seq++)
      expect(full.offer(frame(seq), 0, true).replies).toEqual([]);
    expect(full.offer(frame(INPUT_MAX_HELD_FRAMES + 2), 0, true).replies).toMatchObject([{ reason: 'overflow' }]);
  });

  it('resets a burst once: every frame of it hears the same number and the same reason', () => {
    const order = led();
    const replies = [1, 2, 3].flatMap((seq) => order.offer(frame(seq), 0, false).replies);
    const expected = 1 + INPUT_RESET_JUMP;
    expect(replies).toMatchObject(Array(3).fill({ kind: 'reset', reason: 'not_running', expected }));
    expect(typed(order.offer(frame(expected), 0, true))).toBe(String(expected));
  });

  it('types any duplicated, shuffled, complete input exactly once and in order', () => {
    const arrivals = fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 120 });
    fc.assert(
      fc.property(arrivals, (some) => {
        const order = led();
        const all = [...some, ...Array.from({ length: 30 }, (_, index) => 30 - index)];
        const text = all
          .map((seq) => order.offer(frame(seq, { data: `${seq},` }), 0, true))
          .map(typed)
          .join('');
        expect(text).toBe(Array.from({ length: 30 }, (_, index) => `${index + 1},`).join(''));
      }),
    );
  });
});
