/** Streams that use what terminals have and programs seldom do; each is to be cut everywhere. */

export type NastyPart = string | { readonly cols: number; readonly rows: number };
export interface NastyStream {
  readonly name: string;
  readonly parts: readonly NastyPart[];
  /** What a snapshot is known not to bring back exactly here (snapshot.ts says why); nothing where absent. */
  readonly gap?: readonly string[];
}

const CSI = '\x1b[';
const lines = (count: number, text = 'line'): string =>
  Array.from({ length: count }, (_, line) => `${text} ${line}`).join('\r\n');
const stream = (name: string, ...parts: NastyPart[]): NastyStream => ({ name, parts });

export const NASTY_SIZE = { cols: 24, rows: 8 };

export const NASTY_STREAMS: readonly NastyStream[] = [
  stream(
    'scroll regions',
    `${lines(6)}${CSI}3;6r${CSI}6;1Hin${'\r\nregion'.repeat(5)}${CSI}2T${CSI}3S\x1bM${CSI}r${CSI}2L${CSI}1M`,
  ),
  stream('origin mode', `${CSI}2;5r${CSI}?6h${CSI}1;1Htop${CSI}9;9Hlow${'\n'.repeat(5)}${CSI}?6l${CSI}1;1Habs`),
  stream(
    'alternate screen 1049',
    `shell$ vi\r\n${CSI}?1049h${CSI}H${CSI}2J${lines(8, 'alt')}${CSI}3;3Hx${CSI}?1049l\r\n$ ${CSI}?1049hagain${CSI}?1049lend`,
  ),
  stream(
    'alternate screen 47 and 1047',
    `one\r\ntwo${CSI}?47hA${CSI}4;4H\x1b7B${CSI}?47lC${CSI}?1047hD\x1b8E${CSI}?1047lF`,
  ),
  stream(
    'saved cursor with looks and sets',
    `${CSI}3;5H${CSI}1;38;5;200;48;2;1;2;3m\x1b(0\x1b7${CSI}0m\x1b(B${CSI}1;1Hqq\x1b8qx\x1b8${CSI}s${CSI}uw`,
  ),
  stream(
    'cursor saved at the right edge',
    `${CSI}2;1H${CSI}31m${'e'.repeat(24)}\x1b7${CSI}0m${CSI}5;5Hmid\x1b8next\x1b8again`,
  ),
  stream('cursor saved in the scrollback', `${CSI}8;1Hlow\x1b7${'\r\nup'.repeat(6)}\x1b8back${CSI}1;1Hx\x1b8y`),
  stream(
    'tab stops',
    `${CSI}3g${CSI}1;4H\x1bH${CSI}1;11H\x1bH\r\ta\tb\tc\r\n${CSI}1;4H${CSI}0g\r\td${CSI}2Z!${CSI}2I?`,
  ),
  stream(
    'character sets',
    `\x1b(0lqqk\x1b(Bplain\x1b)0\x0elqk\x0f\x1b*A\x1bn#\x0f\x1b+0\x1boq\x0fq\x1b(A#\x1b(Kq{|}\x1b(B`,
  ),
  stream(
    'wide characters',
    `漢字${CSI}1;2Hx字${CSI}2;23H漢漢\r\n${'ワ'.repeat(13)}${CSI}4;24H漢${CSI}5;1H漢漢${CSI}5;2H${CSI}1P${CSI}6;1H🚀👩‍💻é`,
  ),
  stream(
    'combining characters',
    `e\u0301a\u0308\u0323 ${'z'.repeat(23)}\u0301\u0302o${CSI}3;24Ho\u0308x\r\n\u0301lone 1\ufe0f\u20e3 हिन्दी`,
  ),
  stream(
    'wrapped lines',
    `${'abcdefgh'.repeat(8)}\r\n${'x'.repeat(24)}\r\n${'y'.repeat(24)}${'z'.repeat(24)}z${CSI}3;20Hover the edge of it${CSI}A${CSI}2K${'q'.repeat(30)}`,
  ),
  stream(
    'wrapped lines, erased in part',
    `${'m'.repeat(60)}${CSI}2A${CSI}K${CSI}B${CSI}1K${CSI}B\r${CSI}J${'n'.repeat(50)}${CSI}1J`,
  ),
  stream('no wraparound', `${CSI}?7l${'a'.repeat(30)}b${CSI}?7hcd${'e'.repeat(30)}${CSI}?45h${'\b'.repeat(40)}f`),
  stream('insert mode', `abcdef${CSI}4h${CSI}1;3HX漢Y${CSI}1;22Hedge${CSI}4lover${CSI}2@${CSI}3P`),
  stream(
    'looks',
    `${CSI}1mb${CSI}2md${CSI}3mi${CSI}4:3;58;5;9mcurl${CSI}4:2mdouble${CSI}58;2;1;2;3mrgb${CSI}59m-${CSI}5mblink${CSI}7minv${CSI}8mhid${CSI}9mstr${CSI}53mover${CSI}24;27mless${CSI}0m.${CSI}90;107mbright${CSI}38;5;7;48;5;8mnamed${CSI}39;49m`,
  ),
  stream(
    'coloured blanks',
    `${CSI}44m${CSI}2J${CSI}2;2H${CSI}K${CSI}42m${CSI}3;5H${CSI}1K${CSI}4;4H${CSI}3X${CSI}m${CSI}5;1H${CSI}7mx${CSI}K${CSI}m${CSI}41m${'\r\n'.repeat(5)}${CSI}m${CSI}1;10H${CSI}K`,
  ),
  stream('coloured scrollback', `${CSI}41m${lines(14, 'red')}${CSI}m${CSI}K\r\nplain${CSI}3J${CSI}45m\r\nx`),
  stream(
    'hyperlinks',
    `\x1b]8;;https://one.test/\x07one\x1b]8;;\x07 \x1b]8;id=a;https://two.test/?q=1\x1b\\two ${'long '.repeat(6)}\x1b]8;;\x1b\\${CSI}31m\x1b]8;id=a;https://two.test/?q=1\x07red\x1b]8;;\x07.${CSI}m${'\r\n'.repeat(7)}\x1b]8;;https://three.test/\x07${CSI}4mu`,
  ),
  stream('repeated characters', `ab${CSI}5b漢${CSI}3b${CSI}31mr${CSI}40b\u0301${CSI}2b`),
  stream(
    'protected cells',
    `${CSI}1"qkeep${CSI}0"q go${CSI}2"q\r\n${CSI}1"qthis${CSI}0"qnot${CSI}1;1H${CSI}?2K${CSI}2;1H${CSI}?J`,
  ),
  stream(
    'modes',
    `${CSI}?1h${CSI}?66h${CSI}?2004h${CSI}?1004h${CSI}?1002h${CSI}?1006h${CSI}?25l${CSI}5 q${CSI}?12hx${CSI}?1002l${CSI}?1003h${CSI}?1016hy${CSI}!pz${CSI}?9h${CSI}?25h${CSI}0 q\x1b=\x1b>${CSI}?2026hframe${CSI}?2026lq`,
  ),
  stream('title', `\x1b]0;both\x07a\x1b]2;title ünï\x1b\\b\x1b]1;icon\x07c`),
  stream('resets', `${lines(12)}${CSI}3;6r${CSI}31m\x1b(0q\x1bcnew${CSI}2;4r${CSI}?6hx${CSI}!py\x1b#8z`),
  stream(
    'strings that nobody shows',
    `a\x1bP+q544e\x1b\\b\x1b_Gi=1;AAAA\x1b\\c\x1b^private\x1b\\d\x1bXsos\x1b\\e\x1b]1337;File=x:AAAA\x07f\x1b]52;c;?\x07g`,
  ),
  stream(
    'sequences broken off',
    `a${CSI}31\x18b${CSI}3\x1b[32mc\x1b]0;t\x18d${CSI}1\x08;1Hx\x1b\x1b[33my${CSI}38;5\x1a0mz`,
  ),
  stream(
    'sizes that change',
    `${'abcdefgh'.repeat(9)}\r\n${CSI}32mgreen${CSI}m`,
    { cols: 12, rows: 8 },
    `${'narrow '.repeat(4)}\x1b7`,
    { cols: 30, rows: 4 },
    `\x1b8wide${'w'.repeat(40)}\r\n${CSI}2;3r`,
    { cols: 30, rows: 12 },
    `tall${'\r\n'.repeat(9)}${CSI}?1049h`,
    { cols: 20, rows: 6 },
    `alt${CSI}6;20Hx`,
    { cols: 26, rows: 9 },
    `${CSI}?1049lend ${'漢'.repeat(14)}\r`,
    { cols: 14, rows: 9 },
    `${CSI}H.`,
  ),
  stream(
    'tabs and sizes',
    `${CSI}1;20H\x1bH\r`,
    { cols: 40, rows: 8 },
    `\ta\tb\tc\td\te\r`,
    { cols: 24, rows: 8 },
    `\r\tf\tg\th`,
  ),
  {
    ...stream(
      'a change of screens at the right edge',
      `${'w'.repeat(24)}${CSI}?1049hx${'y'.repeat(23)}${CSI}?1049lz${'v'.repeat(24)}${CSI}?47hq${CSI}?47lr`,
    ),
    gap: ['active'],
  },
  {
    ...stream('an underline that a restored cursor brings back', `${CSI}4m\x1b7${CSI}mab\x1b8cd${CSI}me`),
    gap: ['attributes', 'active', 'normal'],
  },
  {
    ...stream('a wide character without room', `${CSI}?7l${'a'.repeat(23)}漢\u0301b${CSI}?7hc`),
    gap: ['join', 'active'],
  },
  {
    ...stream(
      'a size that cuts a wide character',
      { cols: 26, rows: 9 },
      `end ${'漢'.repeat(14)}`,
      { cols: 13, rows: 9 },
      `${CSI}H.`,
    ),
    gap: ['active', 'join'],
  },
  {
    ...stream(
      'a size that takes the place of the last character',
      { cols: 40, rows: 5 },
      `${CSI}1;38He`,
      { cols: 24, rows: 5 },
      '\u0301d',
    ),
    gap: ['join', 'active'],
  },
];
