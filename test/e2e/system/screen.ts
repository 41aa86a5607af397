/** A terminal's whole buffer as plain data, read the same way from the page's xterm and from the tests' own. */
import { createRequire } from 'node:module';
import type { Page } from '@playwright/test';
import { SCROLLBACK_LINES } from '../../../shared/limits.ts';

// Both are CommonJS: the test runner's loader finds their exports only so.
const load = createRequire(import.meta.url);
const { Terminal } = load('@xterm/headless') as typeof import('@xterm/headless');
const { Unicode11Addon } = load('@xterm/addon-unicode11') as typeof import('@xterm/addon-unicode11');

interface Cell {
  getChars(): string;
  getWidth(): number;
  getFgColor(): number;
  getBgColor(): number;
  getFgColorMode(): number;
  getBgColorMode(): number;
  isBold(): number;
  isDim(): number;
  isItalic(): number;
  isUnderline(): number;
  isInverse(): number;
}
interface Line {
  readonly isWrapped: boolean;
  readonly length: number;
  getCell(column: number): Cell | undefined;
}
interface TerminalLike {
  readonly cols: number;
  readonly rows: number;
  readonly buffer: {
    readonly active: {
      readonly type: string;
      readonly length: number;
      readonly baseY: number;
      readonly cursorX: number;
      readonly cursorY: number;
      getLine(row: number): Line | undefined;
    };
  };
}

export interface Screen {
  readonly size: string;
  readonly cursor: string;
  /** One per row, scrollback first: text, then the looks of what is not plain. */
  readonly rows: readonly string[];
}

/** Runs in the page too: it must not use anything from outside. */
const read = (terminal: TerminalLike): Screen => {
  const { active } = terminal.buffer;
  const looksOf = (cell: Cell): string => {
    const flags = [cell.isBold(), cell.isDim(), cell.isItalic(), cell.isUnderline(), cell.isInverse()];
    const set = flags.map((flag) => (flag === 0 ? '' : '+')).join('-');
    return `${cell.getFgColorMode()}:${cell.getFgColor()}/${cell.getBgColorMode()}:${cell.getBgColor()}/${set}`;
  };
  const rowText = (row: number): string => {
    const line = active.getLine(row);
    if (line === undefined) return '';
    let text = '';
    let looks = '';
    let last = '';
    for (let column = 0; column < line.length; column += 1) {
      const cell = line.getCell(column);
      if (cell === undefined || cell.getWidth() === 0) continue;
      text += cell.getChars() || ' ';
      const now = looksOf(cell);
      if (now !== last) looks += ` ${column}=${now}`;
      last = now;
    }
    return `${line.isWrapped ? '>' : '|'}${text.trimEnd()}${looks === ' 0=0:-1/0:-1/----' ? '' : looks}`;
  };
  const rows = Array.from({ length: active.length }, (_, row) => rowText(row));
  return {
    size: `${terminal.cols}x${terminal.rows} ${active.type}`,
    cursor: `${active.cursorX},${active.baseY + active.cursorY}`,
    rows,
  };
};

/** Screen of the page's terminal, through its documented test hook; undefined while there is none. */
export const pageScreen = (page: Page): Promise<Screen | undefined> =>
  page.evaluate(`window.__village && (${read.toString()})(window.__village.term)`);

export interface Resize {
  /** Bytes before it. */
  readonly offset: number;
  readonly cols: number;
  readonly rows: number;
}

/** Screen after these bytes, drawn at these sizes from where each begins; `sizes` starts with one at 0. */
export const screenOf = async (bytes: Uint8Array, sizes: readonly Resize[]): Promise<Screen> => {
  const [first = { cols: 80, rows: 24 }] = sizes;
  const terminal = new Terminal({
    cols: first.cols,
    rows: first.rows,
    scrollback: SCROLLBACK_LINES,
    allowProposedApi: true,
  });
  terminal.loadAddon(new Unicode11Addon());
  terminal.unicode.activeVersion = '11';
  const write = (data: Uint8Array): Promise<void> => new Promise((resolve) => terminal.write(data, resolve));
  for (const [index, { offset, cols, rows }] of sizes.entries()) {
    if (terminal.cols !== cols || terminal.rows !== rows) terminal.resize(cols, rows);
    await write(bytes.subarray(offset, sizes[index + 1]?.offset ?? bytes.length));
  }
  const screen = read(terminal);
  terminal.dispose();
  return screen;
};
