import { describe, expect, it } from 'vitest';
import { createDetachKeys } from '../../../cli/viewer/detach-keys.ts';
import { createScreenText } from '../../../cli/viewer/screen-text.ts';
import type { ReplayAction } from '../../../shared/viewer/transcript-replay.ts';

const SIZE = { cols: 20, rows: 5 };

it('detach keys leave, and everything else reaches the session', () => {
  const keys = createDetachKeys();
  expect(keys('ls\r')).toMatchObject({ data: 'ls\r', detach: false });
  expect(keys('\x10')).toMatchObject({ data: '', detach: false });
  expect(keys('x')).toMatchObject({ data: '\x10x', detach: false });
  expect(keys('\x10\x10')).toMatchObject({ data: '\x10', detach: false });
  expect(keys('\x11')).toMatchObject({ data: '', detach: true });
  expect(createDetachKeys()('a\x1db')).toMatchObject({ data: 'a', detach: true });
});

const reset = (epoch: number): ReplayAction => ({ kind: 'reset', epoch });
const resize = (cols: number, rows: number): ReplayAction => ({ kind: 'resize', cols, rows });
const write = (data: string): ReplayAction => ({ kind: 'write', data });
const linesOf = async (...actions: ReplayAction[]): Promise<string[]> => {
  const screen = createScreenText(SIZE);
  screen.apply(actions);
  await screen.flush();
  const lines = screen.lines();
  screen.dispose();
  return lines;
};
const EIGHT = Array.from({ length: 8 }, (_, n) => `line ${n + 1}`);

describe('screen text', () => {
  it('reads as a person does: escapes obeyed, wrapped lines joined, ends cut', async () => {
    const lines = await linesOf(
      reset(1),
      write('one\r\n\x1b[31mtwo\x1b[0m   \r\nspinner 1\rspinner 2\r\n'),
      write(`${'w'.repeat(25)}\r\n\r\n`),
    );
    expect(lines).toEqual(['one', 'two', 'spinner 2', 'w'.repeat(25)]);
  });

  it('keeps scrollback and earlier epochs, and applies a resize after the bytes before it', async () => {
    const lines = await linesOf(
      reset(1),
      ...EIGHT.map((line) => write(`${line}\r\n`)),
      resize(40, 5),
      write('x'.repeat(30)),
      reset(2),
      write('second life'),
    );
    expect(lines).toEqual([...EIGHT, 'x'.repeat(30), 'second life']);
  });

  it('keeps what stood above a divider, and says why it is there', async () => {
    const divide: ReplayAction = { kind: 'divide', epoch: 1, rows: 5, words: '7 bytes were not stored' };
    expect(await linesOf(reset(1), write('before'), divide, write('after'))).toEqual([
      'before',
      '── 7 bytes were not stored ──',
      'after',
    ]);
  });

  it('does not repeat what a new screen of the same epoch brings, and keeps other epochs', async () => {
    const divide: ReplayAction = { kind: 'divide', epoch: 2, rows: 5, words: 'epoch 2' };
    const hole: ReplayAction = { kind: 'divide', epoch: 2, rows: 5, words: 'a hole' };
    const lines = await linesOf(
      reset(1),
      write('first'),
      divide,
      write('second'),
      hole,
      write('more'),
      reset(2),
      write('second, more'),
    );
    expect(lines).toEqual(['first', '── epoch 2 ──', 'second, more']);
  });

  it('counts what was not drawn yet, and drops it when cleared', async () => {
    const screen = createScreenText(SIZE);
    screen.apply([reset(1), write('too much')]);
    expect(screen.pendingChars()).toBe(8);
    screen.clear();
    expect(screen.pendingChars()).toBe(0);
    screen.apply([reset(1), write('the screen')]);
    await screen.flush();
    expect(screen.pendingChars()).toBe(0);
    expect(screen.lines()).toEqual(['the screen']);
    screen.dispose();
  });
});
