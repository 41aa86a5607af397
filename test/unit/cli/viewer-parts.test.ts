import { describe, expect, it } from 'vitest';
import { createDetachKeys } from '../../../cli/viewer/detach-keys.ts';
import { InputQueue, splitInput } from '../../../cli/viewer/input-queue.ts';
import { createQueryFilter } from '../../../cli/viewer/query-filter.ts';
import { createScreenText } from '../../../cli/viewer/screen-text.ts';
import { type OutputFrame, TerminalStream } from '../../../cli/viewer/terminal-stream.ts';
import { playChunk } from '../../../cli/viewer/transcript.ts';
import { INPUT_MAX_HELD_FRAMES, VIEWER_HOLD_MAX_FRAMES } from '../../../shared/limits.ts';

const SIZE = { cols: 20, rows: 5 };

const recordedStream = () => {
  const log: string[] = [];
  const stream = new TerminalStream({
    reset: ({ cols, rows }, data, epoch) => log.push(`reset ${epoch} ${cols}x${rows} ${data}`),
    write: (_size, data) => log.push(data),
  });
  return { log, stream };
};
const frame = (offset: number, data: string, epoch = 1): OutputFrame => ({ epoch, offset, data, ...SIZE });
const snapshot = (offset: number, data: string, part = 0, parts = 1, epoch = 1, snapshotId = 's') => ({
  ...frame(offset, data, epoch),
  snapshotId,
  part,
  parts,
});

describe('TerminalStream', () => {
  it('writes every byte once, whatever order, repeats and overlaps the frames come in', () => {
    const { log, stream } = recordedStream();
    for (const one of [frame(0, 'ab'), frame(4, 'ef'), frame(0, 'ab'), frame(1, 'bcd'), frame(3, 'def'), frame(6, 'g')])
      stream.output(one);
    expect(log.slice(1).join('')).toBe('abcdefg');
    expect(stream.position).toEqual({ epoch: 1, offset: 7 });
    expect(stream.isHolding).toBe(false);
  });

  it('counts bytes, not characters', () => {
    const { log, stream } = recordedStream();
    stream.output(frame(0, 'ä€'));
    stream.output(frame(2, '€x'));
    expect(log.slice(1).join('')).toBe('ä€x');
    expect(stream.position?.offset).toBe(6);
  });

  it('holds what lies above until the bytes between come, or a screen', () => {
    const { log, stream } = recordedStream();
    stream.output(frame(0, 'a'));
    stream.output(frame(5, 'f'));
    expect(stream.isHolding).toBe(true);
    stream.snapshot(snapshot(5, 'screen'));
    expect(log).toEqual(['reset 1 20x5 ', 'a', 'reset 1 20x5 screen', 'f']);
    expect(stream.isHolding).toBe(false);
  });

  it('joins a running session by its screen, and drops what that contains', () => {
    const { log, stream } = recordedStream();
    stream.output(frame(100, 'live'));
    expect(log).toEqual([]);
    stream.snapshot(snapshot(102, 'B', 1, 2));
    stream.snapshot(snapshot(102, 'A', 0, 2));
    expect(log).toEqual(['reset 1 20x5 AB', 've']);
  });

  it('does not go back to an older screen', () => {
    const { log, stream } = recordedStream();
    stream.output(frame(0, 'abc'));
    stream.snapshot(snapshot(1, 'old'));
    expect(log).toEqual(['reset 1 20x5 ', 'abc']);
  });

  it('starts anew in a higher epoch and drops frames of a lower one', () => {
    const { log, stream } = recordedStream();
    stream.output(frame(0, 'one'));
    stream.output(frame(0, 'two', 2));
    stream.output(frame(3, 'late'));
    expect(log).toEqual(['reset 1 20x5 ', 'one', 'reset 2 20x5 ', 'two']);
    expect(stream.isBehind({ epoch: 2, offset: 3 })).toBe(false);
    expect(stream.isBehind({ epoch: 2, offset: 4 })).toBe(true);
    expect(stream.isBehind({ epoch: 3, offset: 0 })).toBe(true);
    expect(stream.isBehind({ epoch: 1, offset: 99 })).toBe(false);
  });

  it('holds a bounded number of frames', () => {
    const { log, stream } = recordedStream();
    for (let n = 0; n < VIEWER_HOLD_MAX_FRAMES + 10; n += 1) stream.output(frame(100 + n, 'x'));
    stream.snapshot(snapshot(100 + 10, ''));
    expect(log.slice(1)).toHaveLength(VIEWER_HOLD_MAX_FRAMES);
  });
});

describe('InputQueue', () => {
  it('numbers frames and keeps them until they are acknowledged', () => {
    const queue = new InputQueue();
    queue.attached(3);
    expect(queue.push('a')).toEqual([{ controlTerm: 3, inputSeq: 1, data: 'a' }]);
    queue.push('b');
    queue.push('c');
    queue.acked(3, 2);
    queue.acked(2, 3);
    expect(queue.attached(3).resend).toEqual([{ controlTerm: 3, inputSeq: 3, data: 'c' }]);
  });

  it('gives up what belongs to another control term, and says how much', () => {
    const queue = new InputQueue();
    queue.attached(1);
    queue.push('a');
    expect(queue.attached(2)).toEqual({ resend: [], lost: 1 });
    expect(queue.push('b')[0]).toMatchObject({ controlTerm: 2 });
  });

  it('goes on where a reset says', () => {
    const queue = new InputQueue();
    queue.push('a');
    queue.push('b');
    expect(queue.reset(0, 7)).toBe(2);
    expect(queue.push('c')[0]?.inputSeq).toBe(7);
    expect(queue.reset(0, 7)).toBe(0);
    expect(queue.attached(0).resend).toHaveLength(1);
  });

  it('takes nothing when too much waits', () => {
    const queue = new InputQueue();
    for (let n = 0; n < INPUT_MAX_HELD_FRAMES; n += 1) expect(queue.push('x')).toHaveLength(1);
    expect(queue.push('x')).toEqual([]);
  });

  it('splits at characters, by the size they have as JSON', () => {
    expect(splitInput('aé€😀b', 4)).toEqual(['aé', '€', '😀', 'b']);
    expect(splitInput('\x1b\x1b', 6)).toEqual(['\x1b', '\x1b']);
    expect(splitInput('')).toEqual([]);
  });
});

describe('query filter', () => {
  it('takes queries out and leaves the rest', () => {
    const filter = createQueryFilter();
    const queries = '\x1b[c\x1b[>0c\x1b[6n\x1b[?25$p\x1b]11;?\x07\x1b]10;?\x1b\\\x1bP$qm\x1b\\\x1b[>0q\x1b[?u\x1b[14t';
    expect(filter(`a${queries}b\x1b[31mred\x1b[0m\x1b]2;title\x07`)).toBe('ab\x1b[31mred\x1b[0m\x1b]2;title\x07');
  });

  it('sees queries that are cut anywhere', () => {
    const text = 'x\x1b[6ny\x1b]11;?\x1b\\z\x1b[1mw';
    for (let cut = 0; cut <= text.length; cut += 1) {
      const filter = createQueryFilter();
      expect(filter(text.slice(0, cut)) + filter(text.slice(cut))).toBe('xyz\x1b[1mw');
    }
  });
});

it('detach keys leave, and everything else reaches the session', () => {
  const keys = createDetachKeys();
  expect(keys('ls\r')).toEqual({ data: 'ls\r', detach: false });
  expect(keys('\x10')).toEqual({ data: '', detach: false });
  expect(keys('x')).toEqual({ data: '\x10x', detach: false });
  expect(keys('\x10\x10')).toEqual({ data: '\x10', detach: false });
  expect(keys('\x11')).toEqual({ data: '', detach: true });
  expect(createDetachKeys()('a\x1db')).toEqual({ data: 'a', detach: true });
});

describe('screen text', () => {
  it('reads as a person does: escapes obeyed, wrapped lines joined, ends cut', async () => {
    const screen = createScreenText(SIZE);
    screen.reset(SIZE, '', 1);
    screen.write(SIZE, 'one\r\n\x1b[31mtwo\x1b[0m   \r\nspinner 1\rspinner 2\r\n');
    screen.write(SIZE, `${'w'.repeat(25)}\r\n\r\n`);
    await screen.flush();
    expect(screen.lines()).toEqual(['one', 'two', 'spinner 2', 'w'.repeat(25)]);
    screen.dispose();
  });

  it('keeps scrollback and earlier epochs, and applies a resize after the bytes before it', async () => {
    const screen = createScreenText(SIZE);
    screen.reset(SIZE, '', 1);
    for (let n = 1; n <= 8; n += 1) screen.write(SIZE, `line ${n}\r\n`);
    screen.write({ cols: 40, rows: 5 }, 'x'.repeat(30));
    screen.reset(SIZE, 'second life', 2);
    await screen.flush();
    expect(screen.lines()).toEqual([
      ...Array.from({ length: 8 }, (_, n) => `line ${n + 1}`),
      'x'.repeat(30),
      'second life',
    ]);
    screen.dispose();
  });
});

it('a transcript plays its keyframe once and then the bytes, resizes included', () => {
  const { log, stream } = recordedStream();
  const chunk = (number: number, firstOffset: number, data: string) => ({
    v: 1 as const,
    sessionId: 'ses_01M817YGBJPH11SXYBGPEAJZ4X',
    epoch: 1,
    number,
    firstOffset,
    endOffset: firstOffset + data.length,
    keyframe: { ...SIZE, sizeRev: 0, data: `key${number}` },
    parts: [{ k: 'o' as const, ts: 0, offset: firstOffset, data }],
  });
  playChunk(chunk(1, 3, 'abc'), stream);
  playChunk(chunk(2, 6, 'def'), stream);
  playChunk(chunk(4, 12, 'jkl'), stream);
  expect(log).toEqual(['reset 1 20x5 key1', 'abc', 'def', 'reset 1 20x5 key4', 'jkl']);
});
