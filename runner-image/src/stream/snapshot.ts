/**
 * A terminal's state as a text that rebuilds it: rows, tab stops, scroll region, saved cursor, character sets, modes, and what the
 * next character may join. Proven at every cut of recorded streams. Not covered: a wrap pending on an empty cell (after a change of
 * screens; a blank stands there then), a wide character half beyond the edge (which a change of size leaves; it is shown as nothing),
 * what joins a character that found no place or lost it to a change of size, that the first row kept was wrapped, the stack of
 * titles, changes of the colour table, an underline that a restored cursor brings back without its style.
 */
import type { IBuffer, Terminal } from '@xterm/headless';
import type { Work } from './in-turns.ts';
import { designationOf } from './snapshot-charsets.ts';
import { linkSequence, sgr } from './snapshot-looks.ts';
import { paintRows } from './snapshot-rows.ts';
import {
  type BufferInternals,
  charsAt,
  looksAt,
  type Row,
  readInternals,
  readRows,
  type TerminalInternals,
  widthAt,
} from './terminal-internals.ts';

const CSI = '\x1b[';
const TAB_EVERY = 8;
const moveTo = (y: number, x: number): string => `${CSI}${y + 1};${x + 1}H`;

const tabStops = (tabs: Readonly<Record<string, boolean>>, cols: number): string => {
  const isSet = (column: number) => tabs[column] === true;
  const columns = Array.from({ length: cols }, (_, column) => column);
  if (columns.every((column) => isSet(column) === (column % TAB_EVERY === 0))) return '';
  return `${CSI}3g${columns.flatMap((column) => (isSet(column) ? [`${moveTo(0, column)}\x1bH`] : [])).join('')}`;
};

const scrollRegion = ({ scrollTop, scrollBottom }: BufferInternals, rows: number): string =>
  scrollTop === 0 && scrollBottom === rows - 1 ? '' : `${CSI}${scrollTop + 1};${scrollBottom + 1}r`;

/** Where the character begins that ends before column `x` of row `y`, and the row it stands in. */
const characterBefore = (buffer: IBuffer, y: number, x: number): { row: Row | undefined; column: number } => {
  const [row] = readRows(buffer, buffer.baseY + y, buffer.baseY + y + 1);
  const isHalf = x > 1 && row !== undefined && widthAt(row, x - 1) === 0 && widthAt(row, x - 2) === 2;
  return { row, column: isHalf ? x - 2 : x - 1 };
};
/** Puts the cursor after the last column by writing that column's character again; `undo` takes back what was not there. */
const toRightEdge = (terminal: Terminal, buffer: IBuffer, y: number, shownY = y): { put: string; undo: string } => {
  const { row, column } = characterBefore(buffer, y, terminal.cols);
  if (row === undefined) return { put: moveTo(shownY, terminal.cols - 1), undo: '' };
  const looks = looksAt(row, column);
  const chars = charsAt(row, column);
  const [open, close] =
    looks.urlId === 0 ? ['', ''] : [readInternals(terminal).linkOf(looks.urlId), undefined].map(linkSequence);
  const begin = `${moveTo(shownY, column)}${sgr(looks)}`;
  return { put: `${begin}${open}${chars === '' ? ' ' : chars}${close}`, undo: chars === '' ? `${begin}${CSI}X` : '' };
};

const savedCursor = (terminal: Terminal, buffer: IBuffer, of: BufferInternals): string => {
  const { savedX, savedY, ybase, savedLooks, savedCharset } = of;
  const y = Math.max(0, savedY - ybase);
  const isAtEdge = savedX >= terminal.cols && y < terminal.rows;
  const { put, undo } = isAtEdge ? toRightEdge(terminal, buffer, y) : { put: moveTo(y, savedX), undo: '' };
  const designated = designationOf(savedCharset);
  const saved = designated === 'B' ? '\x1b7' : `\x1b(${designated}\x1b7\x1b(B`;
  return `${put}${sgr({ ...savedLooks, ext: 0, urlId: 0 })}${saved}${undo}${CSI}m`;
};

/**
 * The sets and the one in use. A restored cursor brings back its set without its designation: then its sequence is the
 * only one that does the same, and the cursor is placed after it.
 */
const charsets = ({ charsets: sets, charset, charsetLevel, active }: TerminalInternals): string => {
  const inUse = designationOf(charset);
  const isRestored = inUse !== designationOf(sets[charsetLevel]) && inUse === designationOf(active.savedCharset);
  const designated = ['(', ')', '*', '+'].map((intermediate, level) => {
    const name = designationOf(level === charsetLevel && !isRestored ? charset : sets[level]);
    return name === 'B' ? '' : `\x1b${intermediate}${name}`;
  });
  return `${designated.join('')}${['', '\x0e', '\x1bn', '\x1bo'][charsetLevel] ?? ''}${isRestored ? '\x1b8' : ''}`;
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
    // A reset does not show a cursor that was hidden before it.
    state.isCursorHidden ? `${CSI}?25l` : `${CSI}?25h`,
    style === undefined ? '' : `${CSI}${style - (state.isCursorBlinking ? 1 : 0)} q`,
    set(is.insertMode, '4h'),
    set(is.synchronizedOutputMode, '?2026h'),
  ].join('');
};

/**
 * Puts the cursor where it is, as the last thing of all. After a character it is put by writing that character again: only
 * so a wrap stays pending, and what comes next joins it or repeats it.
 */
const cursor = (terminal: Terminal, state: TerminalInternals): string => {
  const { x, y, scrollTop } = state.active;
  const { originMode, insertMode } = terminal.modes;
  const row = originMode ? y - scrollTop : y;
  const { urlId } = state.cursorLooks;
  const looks = `${sgr(state.cursorLooks)}${urlId === 0 ? '' : linkSequence(state.linkOf(urlId))}`;
  const last = characterBefore(terminal.buffer.active, y, x);
  const chars = x === 0 || last.row === undefined ? '' : charsAt(last.row, last.column);
  if (state.isAfterPrint && chars !== '')
    return `${moveTo(row, last.column)}${looks}${insertMode ? `${CSI}${x - last.column}P` : ''}${chars}`;
  if (x < terminal.cols) return moveTo(row, x) + looks;
  return toRightEdge(terminal, terminal.buffer.active, y, row).put + looks;
};

/** Whether no scroll region is set. */
export const isWholeScreenScrolling = (terminal: Terminal): boolean => {
  const { scrollTop, scrollBottom } = readInternals(terminal).active;
  return scrollTop === 0 && scrollBottom === terminal.rows - 1;
};

/**
 * The text that makes a terminal of the same size show and continue the same; only valid while the parser is at ground. Nothing may change
 * the terminal before the work is done.
 */
export function* serializeTerminal(terminal: Terminal, scrollback: number, title: string): Work<string> {
  const state = readInternals(terminal);
  const { normal, active, alternate } = terminal.buffer;
  const rows = (buffer: IBuffer, kept: number): Work<string> => {
    const first = Math.max(0, buffer.baseY - kept);
    const all = readRows(buffer, first, buffer.baseY + terminal.rows);
    return paintRows(all, terminal.cols, first < buffer.baseY, state.linkOf);
  };
  const isAlternate = active.type === 'alternate';
  const below = yield* rows(normal, scrollback);
  const above = isAlternate ? yield* rows(alternate, 0) : '';
  return [
    '\x1bc',
    below,
    // 1049 would save the cursor anew: 47 does not.
    isAlternate
      ? `${scrollRegion(state.normal, terminal.rows)}${savedCursor(terminal, normal, state.normal)}${CSI}?47h${CSI}H${above}`
      : '',
    tabStops(state.active.tabs, terminal.cols),
    scrollRegion(state.active, terminal.rows),
    savedCursor(terminal, active, state.active),
    `\x1b]2;${title}\x07`,
    charsets(state),
    terminal.modes.originMode ? `${CSI}?6h` : '',
    modes(terminal, state),
    cursor(terminal, state),
  ].join('');
}
