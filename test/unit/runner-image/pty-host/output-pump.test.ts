import { describe, expect, it } from 'vitest';
import { outputPump } from '../../../../runner-image/src/pty-host/output-pump.ts';
import {
  PTY_COALESCE_MS,
  PTY_OUTPUT_PIECE_MAX_BYTES,
  PTY_SEND_WAIT_MS,
  PTY_SEND_WINDOW_BYTES,
} from '../../../../shared/limits.ts';
import { manualClock } from '../stream/manual-clock.ts';

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const setup = () => {
  const { clock, move } = manualClock();
  const pump = outputPump(1, clock);
  const sent: string[] = [];
  pump.attach(
    { output: (_handle, _offset, pieces) => void sent.push(Buffer.concat([...pieces]).toString()), exit() {} },
    0,
  );
  const push = async (text: string): Promise<void> => {
    pump.push(Buffer.from(text));
    await immediate();
  };
  move(PTY_COALESCE_MS + 1);
  return { pump, sent, push, move };
};

describe('outputPump', () => {
  it('gathers what follows other output closely', async () => {
    const { sent, push, move } = setup();
    await push('a');
    await push('b');
    await push('c');
    expect(sent).toEqual(['a']);
    move(PTY_COALESCE_MS);
    expect(sent).toEqual(['a', 'bc']);
  });

  it('lets an echo leave at once, however close it follows the one before', async () => {
    const { pump, sent, push } = setup();
    await push('a');
    pump.noteInput();
    await push('b');
    expect(sent).toEqual(['a', 'b']);
    await push('c');
    expect(sent).toEqual(['a', 'b']);
  });

  it('sends no more than its window before it is safe, and the rest of a program that has ended at once', () => {
    const { pump, sent, move } = setup();
    const size = () => sent.join('').length;
    const piece = PTY_OUTPUT_PIECE_MAX_BYTES;
    pump.push(Buffer.alloc(4 * PTY_SEND_WINDOW_BYTES));
    expect(size()).toBe(PTY_SEND_WINDOW_BYTES);
    pump.ack(1_000);
    expect(size()).toBe(PTY_SEND_WINDOW_BYTES + piece);
    // It may need more to come to a place where it can acknowledge.
    move(PTY_SEND_WAIT_MS);
    expect(size()).toBe(PTY_SEND_WINDOW_BYTES + 2 * piece);
    move(PTY_SEND_WAIT_MS);
    expect(size()).toBe(PTY_SEND_WINDOW_BYTES + 3 * piece);
    pump.end({ exitCode: 0, signal: null, endOffset: 4 * PTY_SEND_WINDOW_BYTES });
    expect(size()).toBe(4 * PTY_SEND_WINDOW_BYTES);
  });

  it('does not hold an echo back behind output that waits for its time', async () => {
    const { pump, sent, push, move } = setup();
    await push('a');
    await push('b');
    pump.noteInput();
    await push('c');
    expect(sent).toEqual(['a', 'bc']);
    move(PTY_COALESCE_MS);
    expect(sent).toEqual(['a', 'bc']);
  });

  it('sends nothing while it stands still, then what has gathered; the rest of a program that has ended at once', async () => {
    const { pump, sent, push, move } = setup();
    pump.standStill(true);
    await push('a');
    move(PTY_SEND_WAIT_MS);
    expect(sent).toEqual([]);
    pump.standStill(false);
    expect(sent).toEqual(['a']);
    pump.standStill(true);
    await push('b');
    pump.end({ exitCode: 0, signal: null, endOffset: 2 });
    expect(sent).toEqual(['a', 'b']);
  });

  it('counts as flooding while more waits than one frame takes', () => {
    const { pump } = setup();
    pump.push(Buffer.alloc(PTY_OUTPUT_PIECE_MAX_BYTES - 1));
    expect(pump.isFlooding).toBe(false);
    pump.push(Buffer.alloc(1));
    expect(pump.isFlooding).toBe(true);
    pump.ack(1);
    expect(pump.isFlooding).toBe(false);
  });
});
