/** The parts of xterm.js's state that its API does not tell; read in one place, checked by shape. */
import type { IBuffer, Terminal } from '@xterm/headless';
import { z } from 'zod';
import { HAS_EXTENDED, type Looks } from './snapshot-looks.ts';

const packed = z.number();
const AttributeData = z.object({ fg: packed, bg: packed, extended: z.object({ _ext: packed, _urlId: z.int() }) });
const Charset = z.record(z.string(), z.string()).optional();
const Buffer = z.object({
  x: z.int(),
  y: z.int(),
  ybase: z.int(),
  scrollTop: z.int(),
  scrollBottom: z.int(),
  savedX: z.int(),
  savedY: z.int(),
  savedCurAttrData: AttributeData,
  savedCharset: Charset,
  tabs: z.record(z.string(), z.boolean()),
});
export type BufferInternals = Omit<z.infer<typeof Buffer>, 'savedCurAttrData'> & { readonly savedLooks: Looks };
const Link = z.object({ id: z.string().optional(), uri: z.string() });
export type Link = z.infer<typeof Link>;

const Core = z.object({
  _inputHandler: z.object({ _curAttrData: AttributeData, _parser: z.object({ precedingJoinState: z.int() }) }),
  _charsetService: z.object({ glevel: z.int(), charset: Charset, _charsets: z.array(Charset) }),
  _oscLinkService: z.object({ _dataByLinkId: z.map(z.int(), z.looseObject({ data: Link })) }),
  coreMouseService: z.object({ _activeEncoding: z.string() }),
  coreService: z.object({
    isCursorHidden: z.boolean(),
    decPrivateModes: z.object({ cursorStyle: z.string().optional(), cursorBlink: z.boolean().optional() }),
  }),
});
const Buffers = z.object({ buffers: z.object({ active: z.unknown(), normal: z.unknown() }) });

/** Getters live on prototypes, which zod's objects do not see through: pick the named fields first. */
const pick = (source: unknown, names: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(names.map((name) => [name, source instanceof Object ? Reflect.get(source, name) : undefined]));

const looksOf = ({ fg, bg, extended }: z.infer<typeof AttributeData>): Looks => ({
  fg,
  bg,
  ext: extended._ext,
  urlId: extended._urlId,
});

const bufferOf = (buffer: unknown): BufferInternals => {
  const { savedCurAttrData, ...rest } = Buffer.parse(pick(buffer, Object.keys(Buffer.shape)));
  return { ...rest, savedLooks: looksOf(savedCurAttrData) };
};

export interface TerminalInternals {
  readonly active: BufferInternals;
  readonly normal: BufferInternals;
  readonly cursorLooks: Looks;
  readonly charsets: readonly (Readonly<Record<string, string>> | undefined)[];
  readonly charsetLevel: number;
  /** The set in use; after a restored cursor not always the one designated at its level. */
  readonly charset: Readonly<Record<string, string>> | undefined;
  readonly mouseEncoding: string;
  readonly isCursorHidden: boolean;
  readonly cursorStyle: string | undefined;
  readonly isCursorBlinking: boolean | undefined;
  /** The last thing the parser did was to print, and what comes next may join it or repeat it. */
  readonly isAfterPrint: boolean;
  linkOf(urlId: number): Link | undefined;
}

/** Throws a ZodError when the installed xterm.js is built differently: versions are pinned together with this file. */
export const readInternals = (terminal: Terminal): TerminalInternals => {
  const raw: unknown = Reflect.get(terminal, '_core');
  const core = Core.parse(pick(raw, Object.keys(Core.shape)));
  const { buffers } = Buffers.parse({ buffers: pick(Reflect.get(Object(raw), 'buffers'), ['active', 'normal']) });
  return {
    active: bufferOf(buffers.active),
    normal: bufferOf(buffers.normal),
    cursorLooks: looksOf(core._inputHandler._curAttrData),
    charsets: core._charsetService._charsets,
    charset: core._charsetService.charset,
    charsetLevel: core._charsetService.glevel,
    mouseEncoding: core.coreMouseService._activeEncoding,
    isCursorHidden: core.coreService.isCursorHidden,
    cursorStyle: core.coreService.decPrivateModes.cursorStyle,
    isCursorBlinking: core.coreService.decPrivateModes.cursorBlink,
    isAfterPrint: core._inputHandler._parser.precedingJoinState !== 0,
    linkOf: (urlId) => core._oscLinkService._dataByLinkId.get(urlId)?.data,
  };
};

/** A row as xterm.js keeps it: three numbers per cell, and what is longer than a number beside them. */
export interface Row {
  readonly isWrapped: boolean;
  /** Of each cell: content and width, foreground, background. Read by the functions below. */
  readonly numbers: Uint32Array;
  readonly combined: Readonly<Record<number, string>>;
  readonly extended: Readonly<Record<number, unknown>>;
}

const CELL_NUMBERS = 3;
const CODE_BITS = 0x1fffff;
const IS_COMBINED = 0x200000;
const WIDTH_SHIFT = 22;
const WIDTH_BITS = 3;
/** No text, one column wide. */
const ERASED = 1 << WIDTH_SHIFT;
const Extended = AttributeData.shape.extended;

const contentAt = ({ numbers }: Row, column: number): number => numbers[column * CELL_NUMBERS] ?? ERASED;
/** A cell that nothing was written to, in a colour or in none. */
export const isErasedAt = (row: Row, column: number): boolean => contentAt(row, column) === ERASED;
/** Of those the ones in no colour. */
export const isPristineAt = (row: Row, column: number): boolean => {
  const { numbers } = row;
  const at = column * CELL_NUMBERS;
  return isErasedAt(row, column) && numbers[at + 1] === 0 && numbers[at + 2] === 0;
};
/** 0 for the second half of a wide character, and for a combining character that found nothing to join. */
export const widthAt = (row: Row, column: number): number => (contentAt(row, column) >>> WIDTH_SHIFT) & WIDTH_BITS;
/** Empty for a cell that was erased, or is a second half. */
export const charsAt = (row: Row, column: number): string => {
  const content = contentAt(row, column);
  if ((content & IS_COMBINED) !== 0) return row.combined[column] ?? '';
  const code = content & CODE_BITS;
  return code === 0 ? '' : String.fromCodePoint(code);
};
/** Whether the cell looks as `looks` say, told without making an object. */
export const isWornAt = ({ numbers }: Row, column: number, looks: Looks): boolean => {
  const bg = numbers[column * CELL_NUMBERS + 2] ?? 0;
  return (bg & HAS_EXTENDED) === 0 && bg === looks.bg && numbers[column * CELL_NUMBERS + 1] === looks.fg;
};
export const looksAt = ({ numbers, extended }: Row, column: number): Looks => {
  const [fg = 0, bg = 0] = numbers.subarray(column * CELL_NUMBERS + 1, column * CELL_NUMBERS + 3);
  if ((bg & HAS_EXTENDED) === 0) return { fg, bg, ext: 0, urlId: 0 };
  const { _ext: ext, _urlId: urlId } = Extended.parse(pick(extended[column], ['_ext', '_urlId']));
  return { fg, bg, ext, urlId };
};

const EMPTY_ROW: Row = { isWrapped: false, numbers: new Uint32Array(), combined: {}, extended: {} };

/** Rows of a buffer from `first` to before `end`, counted from the top of the scrollback; they are the terminal's own, and change with it. */
export const readRows = (buffer: IBuffer, first: number, end: number): Row[] =>
  Array.from({ length: end - first }, (_, index): Row => {
    const line = buffer.getLine(first + index);
    if (line === undefined) return EMPTY_ROW;
    const inner: unknown = Object(Reflect.get(line, '_line'));
    const [numbers, combined, extended] = ['_data', '_combined', '_extendedAttrs'].map((name) =>
      Reflect.get(Object(inner), name),
    );
    // Not by schema: there are thousands of rows, and their shape is that of the first.
    if (!(numbers instanceof Uint32Array && combined instanceof Object && extended instanceof Object))
      throw new Error('xterm.js keeps its rows in another way than the pinned version');
    return { isWrapped: line.isWrapped, numbers, combined, extended };
  });
