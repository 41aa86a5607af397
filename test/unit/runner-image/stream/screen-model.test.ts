import { readFileSync } from 'node:fs';
import unicodePackage from '@xterm/addon-unicode11';
import headless from '@xterm/headless';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type ScreenModel, screenModel } from '../../../../runner-image/src/stream/screen-model.ts';
import { utf8Decoder } from '../../../../runner-image/src/stream/utf8-decoder.ts';

const size = { cols: 80, rows: 24 };
const snapshotOf = (model: ScreenModel): string => {
  const taken = model.snapshot();
  if (taken.kind !== 'snapshot') throw new Error('not at ground');
  return taken.data;
};
/** A terminal as a watcher has it: content with colours, cursor, modes; hidden state shows by what is written later. */
const watched = async (writes: readonly string[], wanted = size): Promise<object> => {
  const terminal = new headless.Terminal({ ...wanted, scrollback: 2_000, allowProposedApi: true });
  terminal.loadAddon(new unicodePackage.Unicode11Addon());
  terminal.unicode.activeVersion = '11';
  let title = '';
  terminal.onTitleChange((next) => {
    title = next;
  });
  for (const text of writes) await new Promise<void>((resolve) => terminal.write(text, resolve));
  const { active } = terminal.buffer;
  const rows = Array.from({ length: active.length }, (_, row) => {
    const line = active.getLine(row);
    const cells = Array.from({ length: terminal.cols }, (__, column) => line?.getCell(column));
    // An erased cell and a written blank look the same; so do they here.
    const drawn = cells.map((cell) =>
      [cell?.getChars() || ' ', cell?.getFgColor(), cell?.getBgColor(), cell?.getChars() ? cell.isBold() : 0].join(),
    );
    return { drawn: drawn.join('|'), isWrapped: line?.isWrapped };
  });
  const blank = rows.findLastIndex(({ drawn }) => drawn !== rows.at(-1)?.drawn);
  const { cursorX, cursorY, baseY, type } = active;
  const state = { rows: rows.slice(0, Math.max(blank + 1, baseY)), cursorX, cursorY, baseY, type, title };
  const modes = { ...terminal.modes };
  terminal.dispose();
  return { ...state, modes };
};
/** Snapshot after `first`, then what was held and `rest`, in a new terminal. */
const resumed = async (first: string, rest: string, wanted = size): Promise<object> => {
  const model = screenModel(wanted);
  await model.write(first);
  const snapshot = snapshotOf(model);
  const held = Buffer.from(first)
    .subarray(Buffer.byteLength(first) - model.heldBytes)
    .toString();
  model.dispose();
  return watched([snapshot, held + rest], wanted);
};

describe('screen model', () => {
  test('a real recording: snapshot at a cut, then the rest, is the same screen', async () => {
    const Read = z.object({ t: z.number(), b: z.string() });
    const file = new URL('../../../fixtures/terminal/claude-pty-trace.jsonl', import.meta.url);
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    const decoder = utf8Decoder();
    const text = lines.map((line) => decoder.push(Buffer.from(Read.parse(JSON.parse(line)).b, 'base64'))).join('');
    const wanted = { cols: 120, rows: 40 };
    const whole = await watched([text], wanted);
    expect(JSON.stringify(whole).length).toBeGreaterThan(2_000);
    for (let at = 1; at < text.length; at += Math.ceil(text.length / 25)) {
      // A cut between the halves of a pair cannot happen: the decoder keeps characters whole.
      const cutAt = /[\uDC00-\uDFFF]/.test(text.charAt(at)) ? at + 1 : at;
      expect(await resumed(text.slice(0, cutAt), text.slice(cutAt), wanted)).toEqual(whole);
    }
  });

  test.each([
    ['scroll region', '\x1b[5;10r\x1b[7;3H', 'x\n\n\n\n\n\n\ny\x1b[r'],
    ['saved cursor', '\x1b[3;4H\x1b[1;31m\x1b7\x1b[0m\x1b[10;10H', 'a\x1b8b'],
    ['line drawing', '\x1b(0', 'lqqk\x1b(Bq'],
    ['line drawing in G1', '\x1b)0\x0e', 'lqk\x0fq'],
    ['tab stops', '\x1b[3g\x1b[1;5H\x1bH\x1b[1;11H\x1bH\r', '\ta\tb'],
    ['pending wrap', `\x1b[2;1H\x1b[32m${'w'.repeat(80)}`, 'next'],
    ['pending wrap after a wide character', `\x1b[2;1H${'ワ'.repeat(40)}`, 'next'],
    ['origin mode', '\x1b[5;10r\x1b[?6h\x1b[2;2H', 'x\x1b[1;1Hy'],
    ['insert mode', 'abc\x1b[4h\x1b[1;2H', 'X'],
    ['no wraparound', '\x1b[?7l', 'z'.repeat(100)],
    ['alternate screen', 'shell\r\n$ \x1b[?1049hfull\x1b[5;5Hscreen', '!\x1b[?1049l back'],
    ['alternate screen without saving', 'one\r\ntwo\x1b[?47h\x1b[5;5Hx', 'y\x1b[?47lz'],
    ['hidden cursor and mouse', '\x1b[?25l\x1b[?1002h\x1b[?1006h\x1b[4 q', 'x'],
    ['scrollback', Array.from({ length: 60 }, (_, line) => `line ${line}\r\n`).join(''), 'more\r\n'],
    ['colours', '\x1b[38;2;1;2;3;48;5;200mrgb', 'still\x1b[0mplain'],
    ['title', '\x1b]2;my title\x07', 'x'],
  ])('snapshot keeps: %s', async (_, first, rest) => {
    expect(await resumed(first, rest)).toEqual(await watched([first, rest]));
  });

  test('a snapshot is taken at ground only: an unfinished sequence belongs to what follows', async () => {
    const model = screenModel(size);
    await model.write('ok\x1b[3');
    expect(model.heldBytes).toBe(3);
    expect(await resumed('ok\x1b[3', '1mred')).toEqual(await watched(['ok\x1b[31mred']));
    await model.write(`\x1bP${'q'.repeat(10_000)}`);
    expect(model.snapshot()).toEqual({ kind: 'not_at_ground' });
    await model.write('\x1b');
    expect(model.snapshot()).toEqual({ kind: 'not_at_ground' });
    await model.write('\\done');
    expect(model.snapshot()).toMatchObject({ kind: 'snapshot' });
    expect(model.text()).toContain('done');
  });

  test('random programs: snapshot anywhere, then the rest, is the same screen', async () => {
    const part = fc.constantFrom(
      'ab',
      'ワ',
      '\r\n',
      '\x1b[5;9H',
      '\x1b[2;6r',
      '\x1b7',
      '\x1b8',
      '\x1b[1;44m',
      '\x1b[m',
      '\x1b[K',
      '\x1b[J',
      // The cursor column is reset first: a wrap pending across a change of screens is not rebuilt.
      '\r\x1b[?1049h',
      '\r\x1b[?1049l',
      '\t',
      '\x1b[L',
      '\x1bM',
      '\x1b[3P',
      'w'.repeat(20),
      '\x1b(0',
      '\x1b(B',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 25 }), fc.array(part, { maxLength: 12 }), async (first, rest) => {
        const small = { cols: 20, rows: 8 };
        expect(await resumed(first.join(''), rest.join(''), small)).toEqual(
          await watched([first.join(''), rest.join('')], small),
        );
      }),
      { numRuns: 150, seed: 20_261_122 },
    );
  });

  test('queries are answered', async () => {
    const answers: string[] = [];
    const model = screenModel({ ...size, onAnswer: (data) => answers.push(data) });
    await model.write('\x1b[c\x1b[6n');
    expect(answers).toEqual(['\x1b[?1;2c', '\x1b[1;1R']);
  });

  test('resize and scrollback cap', async () => {
    const model = screenModel({ ...size, scrollbackLines: 10 });
    await model.write(Array.from({ length: 100 }, (_, line) => `line ${line}\r\n`).join(''));
    await model.resize(40, 10);
    expect(model.snapshot()).toMatchObject({ cols: 40, rows: 10 });
    expect(snapshotOf(model)).not.toContain('line 50');
    expect(model.text()).toContain('line 99');
  });

  test('a large one is taken in turns, and is the same', async () => {
    const model = screenModel({ cols: 80, rows: 24 });
    await model.write('\x1b[31mred\x1b[0m and plain\r\n'.repeat(2_000));
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns += 1;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const taken = await model.snapshotInTurns();
    isDone = true;
    expect(turns).toBeGreaterThan(10);
    expect(taken).toEqual(model.snapshot());
    const cut = model.snapshotInTurns();
    model.dispose();
    expect(await cut).toEqual({ kind: 'not_at_ground' });
  });
});
