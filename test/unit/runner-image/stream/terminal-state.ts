/** Everything of an xterm that decides what it shows and how it goes on: two terminals that agree here agree for ever. */
import unicodePackage from '@xterm/addon-unicode11';
import headless, { type Terminal } from '@xterm/headless';

export interface Size {
  readonly cols: number;
  readonly rows: number;
}

/** A terminal as every watcher has it. */
export const openTerminal = (size: Size, scrollback = 2_000): Terminal => {
  const terminal = new headless.Terminal({ ...size, scrollback, allowProposedApi: true });
  terminal.loadAddon(new unicodePackage.Unicode11Addon());
  terminal.unicode.activeVersion = '11';
  return terminal;
};
export const write = (terminal: Terminal, text: string): Promise<void> =>
  new Promise((resolve) => terminal.write(text, resolve));

type Raw = Record<string, unknown>;
const raw = (value: unknown, ...path: string[]): Raw => {
  let at: unknown = value;
  for (const name of path) at = Reflect.get(Object(at), name);
  return Object(at) as Raw;
};
const call = (of: Raw, name: string): unknown => (Reflect.get(of, name) as () => unknown).call(of);

/** Bits of xterm.js's own cell format: the text of a cell, and its background, say that more stands beside. */
const IS_COMBINED = 0x200000;
const HAS_EXTENDED = 0x10000000;

const LOOKS = [
  ...[
    'isBold',
    'isDim',
    'isItalic',
    'isUnderline',
    'isBlink',
    'isInverse',
    'isInvisible',
    'isStrikethrough',
    'isOverline',
  ],
  ...['isProtected', 'getFgColorMode', 'getFgColor', 'getBgColorMode', 'getBgColor'],
];
/** `uriOf` resolves link ids, which are numbers of the terminal's own. */
const looksOf = (attributes: Raw, uriOf: (id: number) => string): string => {
  const looks: unknown[] = LOOKS.map((name) => Number(call(attributes, name)));
  if (call(attributes, 'isUnderline') !== 0)
    looks.push(
      ...['getUnderlineStyle', 'getUnderlineColorMode', 'getUnderlineColor'].map((name) => call(attributes, name)),
    );
  return `${looks.join(',')}${uriOf(Number(raw(attributes, 'extended').urlId ?? 0))}`;
};

/** A row as the numbers it is made of: text, widths, colours, flags; what does not fit into numbers beside them. */
const rowState = (line: Raw, cols: number, uriOf: (id: number) => string): string => {
  const data = (line._data as Uint32Array).subarray(0, cols * 3);
  const extended = Object.entries(Object(line._extendedAttrs) as Record<string, Raw>).flatMap(([column, one]) =>
    Number(column) < cols && ((data[Number(column) * 3 + 2] ?? 0) & HAS_EXTENDED) !== 0
      ? [`${column}:${one.underlineStyle}/${one.underlineColor}/${uriOf(Number(one.urlId ?? 0))}`]
      : [],
  );
  const combined = Object.entries(Object(line._combined) as Record<string, string>).filter(
    ([column]) => Number(column) < cols && ((data[Number(column) * 3] ?? 0) & IS_COMBINED) !== 0,
  );
  return `${line.isWrapped === true ? '>' : '|'}${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1')}${combined.join()}${extended.join()}`;
};

const bufferState = (core: Raw, buffer: Raw, isActive: boolean, uriOf: (id: number) => string) => {
  const lines = raw(buffer, 'lines') as unknown as { length: number; get(y: number): Raw };
  const cols = Number(core.cols);
  const { x, y, ybase, scrollTop, scrollBottom, savedX, savedY, tabs } = buffer;
  return {
    rows: Array.from({ length: lines.length }, (_, row) => rowState(lines.get(row), cols, uriOf)),
    ...(isActive ? { x, y } : {}),
    ybase,
    scrollTop,
    scrollBottom,
    saved: [
      savedX,
      Math.max(0, Number(savedY) - Number(ybase)),
      looksOf(raw(buffer, 'savedCurAttrData'), uriOf),
      buffer.savedCharset,
    ],
    tabs: Object.entries(Object(tabs)).flatMap(([column, isSet]) =>
      isSet && Number(column) < cols ? [Number(column)] : [],
    ),
  };
};

export const terminalState = (terminal: Terminal) => {
  const core = raw(terminal, '_core');
  const links = raw(core, '_oscLinkService', '_dataByLinkId') as unknown as Map<
    number,
    { data: { id?: string; uri: string } }
  >;
  const uriOf = (id: number): string =>
    id === 0 ? '' : ` ${links.get(id)?.data.id ?? ''};${links.get(id)?.data.uri ?? 'gone'}`;
  const active = raw(core, 'buffers', 'active');
  const normal = raw(core, 'buffers', 'normal');
  const input = raw(core, '_inputHandler');
  const { glevel, charset, _charsets } = raw(core, '_charsetService');
  return {
    size: [terminal.cols, terminal.rows],
    type: terminal.buffer.active.type,
    active: bufferState(core, active, true, uriOf),
    normal: active === normal ? null : bufferState(core, normal, false, uriOf),
    attributes: looksOf(raw(input, '_curAttrData'), uriOf),
    charsets: [glevel, charset, ...[0, 1, 2, 3].map((level) => (_charsets as unknown[])[level])],
    modes: { ...raw(core, 'coreService', 'modes'), ...raw(core, 'coreService', 'decPrivateModes') },
    mouse: [raw(core, 'coreMouseService')._activeProtocol, raw(core, 'coreMouseService')._activeEncoding],
    isCursorHidden: raw(core, 'coreService').isCursorHidden,
    title: input._windowTitle,
    join: raw(input, '_parser').precedingJoinState,
  };
};
