import unicodePackage from '@xterm/addon-unicode11';
import headless from '@xterm/headless';
import { describe, expect, test } from 'vitest';
import { planSkip } from '../../../../runner-image/src/stream/bulk-skip.ts';
import { atOnce } from '../../../../runner-image/src/stream/in-turns.ts';
import { screenModel } from '../../../../runner-image/src/stream/screen-model.ts';

const size = { cols: 40, rows: 10 };
const lines = (count: number, from = 0) =>
  Array.from(
    { length: count },
    (_, line) => `\x1b[3${(line + from) % 8}mline ${line + from}${line % 7 ? '' : ' long'.repeat(20)}\r\n`,
  ).join('');
const cells = (terminal: InstanceType<typeof headless.Terminal>) => {
  const { active } = terminal.buffer;
  const rows = Array.from({ length: active.length }, (_, row) => {
    const line = active.getLine(row);
    return Array.from({ length: terminal.cols }, (__, column) => {
      const cell = line?.getCell(column);
      return `${cell?.getChars()}${cell?.getFgColor()}${cell?.getBgColor()}`;
    }).join('|');
  });
  return { rows, x: active.cursorX, y: active.cursorY };
};
const terminalWith = async (text: string, scrollback: number) => {
  const terminal = new headless.Terminal({ ...size, scrollback, allowProposedApi: true });
  terminal.loadAddon(new unicodePackage.Unicode11Addon());
  terminal.unicode.activeVersion = '11';
  await new Promise<void>((resolve) => terminal.write(text, resolve));
  return cells(terminal);
};

describe('bulk output that is not drawn', () => {
  test.each([
    ['plain log', 'start\r\n\x1b[1;44m'],
    ['cursor in the middle', '\x1b[5;9Hx'],
    ['alternate screen', '\x1b[?1049h\x1b[3;3Habc'],
    ['scroll region', '\x1b[3;6r\x1b[8;1Htext below the region\x1b[9;1H'],
    ['after a control sequence', `${lines(2_000)}\x1b[2;5Hmoved`],
  ])('%s: the same screen as if it were', async (_, before) => {
    const text = `${before}${lines(6_000)}end`;
    expect(atOnce(planSkip(text, 50 + 2 * size.rows))?.skipped.length).toBeGreaterThan(50_000);
    const model = screenModel({ ...size, scrollbackLines: 50 });
    await model.write(text);
    const taken = model.snapshot();
    if (taken.kind !== 'snapshot') throw new Error('not at ground');
    expect(await terminalWith(taken.data, 50)).toEqual(await terminalWith(text, 50));
  });

  test('nothing is skipped where little scrolls, or where other sequences come up to the end', () => {
    expect(atOnce(planSkip(lines(6_000), 7_000))).toBeUndefined();
    expect(atOnce(planSkip(`${lines(6_000)}\x1b[H`, 10))).toBeUndefined();
    expect(atOnce(planSkip('x\r\n'.repeat(100), 10))).toBeUndefined();
  });
});
