/** Attributes of a cell or of the cursor, as xterm.js packs them into numbers, and the sequences that set exactly them. */
import type { Link } from './terminal-internals.ts';

/** Colours in the lower bits of `fg` and `bg`, flags in the upper ones; underline style and colour in `ext`. */
export interface Looks {
  readonly fg: number;
  readonly bg: number;
  readonly ext: number;
  /** 0 without a link. */
  readonly urlId: number;
}
export const PLAIN: Looks = { fg: 0, bg: 0, ext: 0, urlId: 0 };
export const isSame = (one: Looks, other: Looks): boolean =>
  one.fg === other.fg && one.bg === other.bg && one.ext === other.ext && one.urlId === other.urlId;

const CSI = '\x1b[';
const VALUE_BITS = 0xffffff;
const MODE_BITS = 0x3000000;
const NAMED = 0x1000000;
const RGB = 0x3000000;
const BRIGHT = 8;
/** xterm.js's flags in `fg` and in `bg`, and what sets them. */
const FG_FLAGS: readonly (readonly [number, string])[] = [
  [0x8000000, '1'],
  [0x20000000, '5'],
  [0x4000000, '7'],
  [0x40000000, '8'],
  [0x80000000, '9'],
];
const BG_FLAGS: readonly (readonly [number, string])[] = [
  [0x8000000, '2'],
  [0x4000000, '3'],
  [0x40000000, '53'],
];
const UNDERLINE = 0x10000000;
export const HAS_EXTENDED = 0x10000000;
const PROTECTED = 0x20000000;
const STYLE_BITS = 0x1c000000;
const STYLE_SHIFT = 26;

const color = (base: number, packed: number): string[] => {
  const value = packed & VALUE_BITS;
  const mode = packed & MODE_BITS;
  if (mode === 0) return [];
  if (mode === RGB) return [`${base};2;${(value >> 16) & 255};${(value >> 8) & 255};${value & 255}`];
  const index = value & 255;
  if (mode !== NAMED || base === 58) return [`${base};5;${index}`];
  return [String(base - BRIGHT + (index < BRIGHT ? index : index - BRIGHT + 60))];
};
const underline = ({ fg, bg, ext }: Looks): string[] => {
  if ((fg & UNDERLINE) === 0) return [];
  const style = (bg & HAS_EXTENDED) === 0 ? 1 : (ext & STYLE_BITS) >>> STYLE_SHIFT;
  return [style > 1 ? `4:${style}` : '4'];
};

/** SGR that sets exactly these, and protection behind it, which SGR takes away. A link is not part of it. */
export const sgr = (looks: Looks): string => {
  const flags = [
    ...FG_FLAGS.flatMap(([bit, code]) => ((looks.fg & bit) === 0 ? [] : [code])),
    ...BG_FLAGS.flatMap(([bit, code]) => ((looks.bg & bit) === 0 ? [] : [code])),
  ];
  const all = [...flags, ...underline(looks), ...color(58, looks.ext), ...color(38, looks.fg), ...color(48, looks.bg)];
  const set = all.length === 0 ? `${CSI}m` : `${CSI}0;${all.join(';')}m`;
  return (looks.bg & PROTECTED) === 0 ? set : `${set}${CSI}1"q`;
};

const CLOSE_LINK = '\x1b]8;;\x1b\\';
export const linkSequence = (link: Link | undefined): string =>
  link === undefined ? CLOSE_LINK : `\x1b]8;${link.id === undefined ? '' : `id=${link.id}`};${link.uri}\x1b\\`;
/** Ends protection, which SGR ends too, and an open link. */
export const ALL_PLAIN = `${CSI}m${CLOSE_LINK}`;
