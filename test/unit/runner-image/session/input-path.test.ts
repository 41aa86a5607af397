/** From a person's keys to the terminal over a line that delays, repeats and loses: all of it in order, or the person is told. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Typing } from '../../../../runner-image/src/session/typing.ts';
import { InputData, RunnerFrame } from '../../../../shared/frames.ts';
import { INPUT_WINDOW_FRAMES } from '../../../../shared/limits.ts';
import { type InputLoss, type InputPiece, InputSender } from '../../../../shared/viewer/input-sender.ts';
import { HandClock } from '../../shared/viewer/fake-socket.ts';

/** What happens to one message: one delay for each copy of it that arrives. */
type Fate = readonly number[];
interface Burst {
  readonly keys: number;
  readonly gapMs: number;
  readonly pauseMs: number;
}

const TICK_MS = 200;
const SETTLED_MS = 60_000;
const VIEWER = 'view-a';
/** Every key is another letter, so that order and absence show. */
const keyOf = (index: number): string => String.fromCharCode(0x4e00 + index);
const silent = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };

/** Plays the bursts, each message by its turn of `fates`, then a calm line until everything is settled. */
const play = async (bursts: readonly Burst[], fates: readonly Fate[]) => {
  const clock = new HandClock();
  const sender = new InputSender();
  const losses: InputLoss[] = [];
  const sentData = new Map<number, string>();
  let delivered = '';
  let turn = 0;
  let isCalm = false;
  const carry = (arrive: () => void): void => {
    const fate = isCalm ? [1] : (fates[turn++ % fates.length] ?? [1]);
    for (const delayMs of fate) clock.after(delayMs, arrive);
  };
  const typing = new Typing({
    ...{ sessionId: 'ses_01J0000000000000000000000A', epoch: 1, capability: 'cap', clock, log: silent },
    send: (text) => carry(() => receive(RunnerFrame.parse(JSON.parse(text)))),
    record: () => {},
    onTyped: () => {},
  });
  const send = (pieces: readonly InputPiece[]): void => {
    expect(sender.unackedCount).toBeLessThanOrEqual(INPUT_WINDOW_FRAMES);
    for (const piece of pieces) {
      InputData.parse(piece.data);
      expect(sentData.get(piece.inputSeq) ?? piece.data).toBe(piece.data);
      sentData.set(piece.inputSeq, piece.data);
      carry(() => typing.onInput({ viewerId: VIEWER, source: 'viewer', ...piece }));
    }
  };
  const receive = (frame: RunnerFrame): void => {
    if (frame.type === 'input_ack') send(sender.acked(frame, clock.nowMs()));
    if (frame.type !== 'input_reset') return;
    const loss = sender.reset(frame);
    if (loss !== null) losses.push(loss);
  };
  const tick = (): void => {
    send(sender.tick(clock.nowMs()));
    clock.after(TICK_MS, tick);
  };
  typing.setKeyboard({
    type: async (data) => {
      delivered += data;
    },
    promptsFull: () => null,
    submit: async () => ({ kind: 'sent' }),
  });
  typing.setControl({ controllerId: VIEWER, controlTerm: 1 });
  sender.control(1, clock.nowMs());
  tick();
  let typed = '';
  for (const { keys, gapMs, pauseMs } of bursts) {
    for (let key = 0; key < keys; key += 1) {
      const text = keyOf(typed.length);
      typed += text;
      const { send: now, loss } = sender.type(text, clock.nowMs());
      expect(loss).toBeNull();
      send(now);
      if (gapMs > 0) await clock.advance(gapMs);
    }
    await clock.advance(pauseMs);
  }
  isCalm = true;
  await clock.advance(SETTLED_MS);
  return { typed, delivered, losses, seqs: [...sentData.keys()], unacked: sender.unackedCount };
};

const bursts = fc.array(
  fc.record({
    keys: fc.integer({ min: 1, max: 400 }),
    gapMs: fc.constantFrom(0, 0, 1, 8, 30),
    pauseMs: fc.constantFrom(0, 5, 25, 400, 1_500),
  }),
  { minLength: 1, maxLength: 4 },
);
const arrival = fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 2 });
const loss = fc.constant<Fate>([]);
const late = fc.integer({ min: 300, max: 3_000 }).map((delayMs): Fate => [delayMs]);

describe('typed text', () => {
  it('arrives whole and in order, at any speed, however messages overtake each other and come twice', async () => {
    const fates = fc.array(arrival, { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(bursts, fates, async (...line) => {
        const { typed, delivered, losses, seqs, unacked } = await play(...line);
        expect({ delivered, losses, unacked }).toEqual({ delivered: typed, losses: [], unacked: 0 });
        expect(seqs).toEqual(seqs.map((_, index) => index + 1));
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  it('arrives in order and once, and what is missing was reported, when messages are lost or very late', async () => {
    const fates = fc.array(
      fc.oneof({ weight: 6, arbitrary: arrival }, { weight: 2, arbitrary: loss }, { weight: 1, arbitrary: late }),
      { minLength: 1, maxLength: 60 },
    );
    let whole = 0;
    let reset = 0;
    await fc.assert(
      fc.asyncProperty(bursts, fates, async (...line) => {
        const { typed, delivered, losses, unacked } = await play(...line);
        expect(unacked).toBe(0);
        expect([...delivered]).toEqual([...new Set(delivered)].toSorted());
        const reported = losses.reduce((sum, { characters }) => sum + characters, 0);
        expect(typed.length - delivered.length).toBeLessThanOrEqual(reported);
        if (losses.length > 0) reset += 1;
        else whole += 1;
      }),
      { numRuns: 60, seed: 5 },
    );
    // Both ends of the promise were met with.
    expect(whole).toBeGreaterThan(0);
    expect(reset).toBeGreaterThan(0);
  }, 60_000);
});
