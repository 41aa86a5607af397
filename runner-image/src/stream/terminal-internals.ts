/** The parts of xterm.js's state that neither its API nor addon-serialize tells; read in one place, checked by shape. */
import type { Terminal } from '@xterm/headless';
import { z } from 'zod';

const isFunction = (value: unknown): boolean => typeof value === 'function';
type Flag = () => number | boolean;
/** The attributes of a cell or of the cursor: the methods of IBufferCell that matter for SGR. */
export interface Attributes {
  isBold: Flag;
  isDim: Flag;
  isItalic: Flag;
  isUnderline: Flag;
  isBlink: Flag;
  isInverse: Flag;
  isInvisible: Flag;
  isStrikethrough: Flag;
  isOverline: Flag;
  isFgRGB: Flag;
  isFgPalette: Flag;
  getFgColorMode(): number;
  getFgColor(): number;
  isBgRGB: Flag;
  isBgPalette: Flag;
  getBgColorMode(): number;
  getBgColor(): number;
}
const Attributes = z.custom<Attributes>(
  (value) =>
    value instanceof Object && isFunction(Reflect.get(value, 'isBold')) && isFunction(Reflect.get(value, 'getBgColor')),
);
const Charset = z.record(z.string(), z.string()).optional();
const Buffer = z.object({
  x: z.int(),
  y: z.int(),
  ybase: z.int(),
  scrollTop: z.int(),
  scrollBottom: z.int(),
  savedX: z.int(),
  savedY: z.int(),
  savedCurAttrData: Attributes,
  savedCharset: Charset,
  tabs: z.record(z.string(), z.boolean()),
});
export type BufferInternals = z.infer<typeof Buffer>;

const Core = z.object({
  _inputHandler: z.object({ _curAttrData: Attributes }),
  _charsetService: z.object({ glevel: z.int(), charset: Charset, _charsets: z.array(Charset) }),
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

const bufferOf = (buffer: unknown): BufferInternals => Buffer.parse(pick(buffer, Object.keys(Buffer.shape)));

export interface TerminalInternals {
  readonly active: BufferInternals;
  readonly normal: BufferInternals;
  readonly cursorAttributes: Attributes;
  readonly charsets: readonly (Readonly<Record<string, string>> | undefined)[];
  readonly charsetLevel: number;
  /** The set in use; after a restored cursor not always the one designated at its level. */
  readonly charset: Readonly<Record<string, string>> | undefined;
  readonly mouseEncoding: string;
  readonly isCursorHidden: boolean;
  readonly cursorStyle: string | undefined;
  readonly isCursorBlinking: boolean | undefined;
}

/** Throws a ZodError when the installed xterm.js is built differently: versions are pinned together with this file. */
export const readInternals = (terminal: Terminal): TerminalInternals => {
  const raw: unknown = Reflect.get(terminal, '_core');
  const core = Core.parse(pick(raw, Object.keys(Core.shape)));
  const { buffers } = Buffers.parse({ buffers: pick(Reflect.get(Object(raw), 'buffers'), ['active', 'normal']) });
  return {
    active: bufferOf(buffers.active),
    normal: bufferOf(buffers.normal),
    cursorAttributes: core._inputHandler._curAttrData,
    charsets: core._charsetService._charsets,
    charset: core._charsetService.charset,
    charsetLevel: core._charsetService.glevel,
    mouseEncoding: core.coreMouseService._activeEncoding,
    isCursorHidden: core.coreService.isCursorHidden,
    cursorStyle: core.coreService.decPrivateModes.cursorStyle,
    isCursorBlinking: core.coreService.decPrivateModes.cursorBlink,
  };
};
