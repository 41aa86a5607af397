/**
 * A terminal's state as a text that rebuilds it. addon-serialize gives content, colours and the plain modes; this adds
 * what it leaves out: tab stops, scroll region, saved cursor, character sets, cursor shape and visibility, mouse
 * encoding, pending wrap. Not covered: hyperlinks, the character that REP would repeat, colour table changes,
 * synchronized output, a saved cursor or a change of screens at pending wrap.
 */
import type { SerializeAddon } from '@xterm/addon-serialize';
import type { IBuffer, IBufferLine, Terminal } from '@xterm/headless';
import { type Attributes, type BufferInternals, readInternals, type TerminalInternals } from './terminal-internals.ts';

const CSI = '\x1b[';
const TAB_EVERY = 8;
const moveTo = (y: number, x: number): string => `${CSI}${y + 1};${x + 1}H`;

/** Value of get…ColorMode() for the sixteen named colours. */
const NAMED_COLORS = 0x1000000;
const BRIGHT = 8;

const color = (base: 38 | 48, isRgb: boolean, isPalette: boolean, mode: number, value: number): string[] => {
  if (isRgb) return [`${base};2;${(value >> 16) & 255};${(value >> 8) & 255};${value & 255}`];
  if (!isPalette) return [];
  if (mode !== NAMED_COLORS) return [`${base};5;${value}`];
  return [String(base - BRIGHT + (value < BRIGHT ? value : value - BRIGHT + 60))];
};
const foreground = (of: Attributes): string[] =>
  color(38, Boolean(of.isFgRGB()), Boolean(of.isFgPalette()), of.getFgColorMode(), of.getFgColor());
const background = (of: Attributes): string[] =>
  color(48, Boolean(of.isBgRGB()), Boolean(of.isBgPalette()), of.getBgColorMode(), of.getBgColor());

/** SGR that sets exactly these attributes. */
const sgr = (attributes: Attributes): string => {
  const flags: [() => number | boolean, string][] = [
    [() => attributes.isBold(), '1'],
    [() => attributes.isDim(), '2'],
    [() => attributes.isItalic(), '3'],
    [() => attributes.isUnderline(), '4'],
    [() => attributes.isBlink(), '5'],
    [() => attributes.isInverse(), '7'],
    [() => attributes.isInvisible(), '8'],
    [() => attributes.isStrikethrough(), '9'],
    [() => attributes.isOverline(), '53'],
  ];
  const codes = flags.flatMap(([isSet, code]) => (isSet() ? [code] : []));
  return `${CSI}${['0', ...codes, ...foreground(attributes), ...background(attributes)].join(';')}m`;
};

const tabStops = (tabs: Readonly<Record<string, boolean>>, cols: number): string => {
  const isSet = (column: number) => tabs[column] === true;
  const columns = Array.from({ length: cols }, (_, column) => column);
  if (columns.every((column) => isSet(column) === (column % TAB_EVERY === 0))) return '';
  return `${CSI}3g${columns.flatMap((column) => (isSet(column) ? [`${moveTo(0, column)}\x1bH`] : [])).join('')}`;
};

const scrollRegion = ({ scrollTop, scrollBottom }: BufferInternals, rows: number): string =>
  scrollTop === 0 && scrollBottom === rows - 1 ? '' : `${CSI}${scrollTop + 1};${scrollBottom + 1}r`;

/** Which set was designated, told by a character that only it maps; others than these are rare and shown as ASCII. */
const designation = (charset: Readonly<Record<string, string>> | undefined): string => {
  if (charset === undefined) return 'B';
  if (charset['`'] === '◆') return '0';
  return charset['#'] === '£' && charset['@'] === undefined ? 'A' : 'B';
};

const savedCursor = ({ savedX, savedY, ybase, savedCurAttrData, savedCharset }: BufferInternals): string => {
  const y = Math.max(0, savedY - ybase);
  return `${sgr(savedCurAttrData)}${moveTo(y, savedX)}\x1b(${designation(savedCharset)}\x1b7\x1b(B`;
};

const charsets = ({ charsets: sets, charset, charsetLevel }: TerminalInternals): string => {
  const designated = ['(', ')', '*', '+'].map((intermediate, level) => {
    const name = designation(level === charsetLevel ? charset : sets[level]);
    return name === 'B' ? '' : `\x1b${intermediate}${name}`;
  });
  return designated.join('') + (['', '\x0e', '\x1bn', '\x1bo'][charsetLevel] ?? '');
};

const MOUSE = { none: '', x10: '9', vt200: '1000', drag: '1002', any: '1003' } as const;
const CURSOR_STYLES: Readonly<Record<string, number>> = { block: 2, underline: 4, bar: 6 };

const modes = (terminal: Terminal, state: TerminalInternals): string => {
  const is = terminal.modes;
  const set = (isSet: boolean, code: string): string => (isSet ? `${CSI}${code}` : '');
  const style = CURSOR_STYLES[state.cursorStyle ?? ''];
  return [
    set(is.applicationCursorKeysMode, '?1h'),
    set(is.applicationKeypadMode, '?66h'),
    set(is.bracketedPasteMode, '?2004h'),
    set(is.reverseWraparoundMode, '?45h'),
    set(is.sendFocusMode, '?1004h'),
    set(!is.wraparoundMode, '?7l'),
    set(MOUSE[is.mouseTrackingMode] !== '', `?${MOUSE[is.mouseTrackingMode]}h`),
    set(state.mouseEncoding === 'SGR', '?1006h'),
    set(state.mouseEncoding === 'SGR_PIXELS', '?1016h'),
    set(state.isCursorHidden, '?25l'),
    style === undefined ? '' : `${CSI}${style - (state.isCursorBlinking ? 1 : 0)} q`,
    set(is.insertMode, '4h'),
  ].join('');
};

/** Puts the cursor where it is; after the last column it is put by writing that column's character again. */
const cursor = (terminal: Terminal, state: TerminalInternals): string => {
  const { x, y, scrollTop } = state.active;
  const row = terminal.modes.originMode ? y - scrollTop : y;
  if (x < terminal.cols) return moveTo(row, x) + sgr(state.cursorAttributes);
  const line = terminal.buffer.active.getLine(state.active.ybase + y);
  const last = line?.getCell(terminal.cols - 1);
  const column = last?.getWidth() === 0 ? terminal.cols - 2 : terminal.cols - 1;
  const cell = line?.getCell(column);
  const rewritten = cell === undefined ? '' : sgr(cell) + (cell.getChars() || ' ');
  return moveTo(row, column) + rewritten + sgr(state.cursorAttributes);
};

/** One screen row from scratch, in place; coloured blanks at its end are left to coloredBlanks. */
const paintRow = (line: IBufferLine, row: number, cols: number): string => {
  let painted = `${CSI}m${moveTo(row, 0)}${CSI}${cols}X`;
  for (let column = 0; column < cols; column += 1) {
    const cell = line.getCell(column);
    if (cell === undefined || cell.getWidth() === 0) continue;
    const isBlank = cell.getChars() === '';
    if (isBlank && cell.isBgDefault()) continue;
    painted += `${moveTo(row, column)}${sgr(cell)}${isBlank ? `${CSI}X` : cell.getChars()}`;
  }
  return painted;
};

/** addon-serialize leaves a stray dash where a line is marked as wrapped although the one before it is not full. */
const repairedWraps = (terminal: Terminal, buffer: IBuffer): string => {
  let painted = '';
  for (let row = 0; row + 1 < terminal.rows; row += 1) {
    const [line, next] = [buffer.getLine(buffer.baseY + row), buffer.getLine(buffer.baseY + row + 1)];
    if (line === undefined || next === undefined || !next.isWrapped) continue;
    if (line.getCell(terminal.cols - 1)?.getChars() !== '' && next.getCell(0)?.getChars() !== '') continue;
    painted += paintRow(line, row, terminal.cols) + paintRow(next, row + 1, terminal.cols);
  }
  return painted;
};

/** Coloured blanks at the ends of lines: addon-serialize stops at the last written character of the screen. */
const coloredBlanks = (terminal: Terminal, buffer: IBuffer): string => {
  let painted = '';
  for (let row = 0; row < terminal.rows; row += 1) {
    const line = buffer.getLine(buffer.baseY + row);
    for (let end = terminal.cols; line !== undefined && end > 0; ) {
      const last = line.getCell(end - 1);
      if (last === undefined || last.getChars() !== '' || last.getWidth() === 0 || last.isBgDefault()) break;
      const isSame = (column: number): boolean => {
        const cell = line.getCell(column);
        const isBlank = cell?.getChars() === '' && cell.getWidth() !== 0;
        return isBlank && cell.getBgColor() === last.getBgColor() && cell.getBgColorMode() === last.getBgColorMode();
      };
      let start = end - 1;
      while (start > 0 && isSame(start - 1)) start -= 1;
      painted += `${sgr(last)}${moveTo(row, start)}${CSI}${end - start}X`;
      end = start;
    }
  }
  return painted;
};

const repairs = (terminal: Terminal, buffer: IBuffer): string =>
  repairedWraps(terminal, buffer) + coloredBlanks(terminal, buffer);

/** Whether no scroll region is set. */
export const isWholeScreenScrolling = (terminal: Terminal): boolean => {
  const { scrollTop, scrollBottom } = readInternals(terminal).active;
  return scrollTop === 0 && scrollBottom === terminal.rows - 1;
};

/** The text that makes a terminal of the same size show and continue the same; only valid while the parser is at ground. */
export const serializeTerminal = (
  terminal: Terminal,
  addon: SerializeAddon,
  scrollback: number,
  title: string,
): string => {
  const state = readInternals(terminal);
  const isAlternate = terminal.buffer.active.type === 'alternate';
  const normal = addon.serialize({ scrollback, excludeModes: true, excludeAltBuffer: true });
  const alternate = isAlternate ? addon.serialize({ scrollback, excludeModes: true }).slice(normal.length) : '';
  const { active } = state;
  return [
    '\x1bc',
    normal,
    // addon-serialize enters the alternate screen with 1049, which would save the cursor anew: 47 does not.
    isAlternate
      ? `${repairs(terminal, terminal.buffer.normal)}${scrollRegion(state.normal, terminal.rows)}${savedCursor(state.normal)}${CSI}m${alternate.replace(`${CSI}?1049h`, `${CSI}?47h`)}`
      : '',
    repairs(terminal, terminal.buffer.active),
    tabStops(active.tabs, terminal.cols),
    scrollRegion(active, terminal.rows),
    savedCursor(active),
    title === '' ? '' : `\x1b]2;${title}\x07`,
    terminal.modes.originMode ? `${CSI}?6h` : '',
    cursor(terminal, state),
    charsets(state),
    modes(terminal, state),
  ].join('');
};
