/** What a terminal is told to do, in order, and how one screen gives way to another without wiping what stood there. */

/** Another screen begins, of `epoch`, as `words` say: what was shown so far stays readable above it. */
export interface Divider {
  readonly kind: 'divide';
  readonly epoch: number;
  /** Of the terminal as the stream knows it. */
  readonly rows: number;
  readonly words: string;
}
/** In order, to a terminal whose earlier writes are done. What follows a `reset` or a `divide` belongs to `epoch`. */
export type Drawing =
  | { readonly kind: 'reset'; readonly epoch: number }
  | { readonly kind: 'resize'; readonly cols: number; readonly rows: number }
  | { readonly kind: 'write'; readonly data: string }
  | Divider;

const ESC = '\u001b';
/** RIS: a new terminal, scrollback included. Snapshots and keyframes begin with it. */
export const FULL_RESET = `${ESC}c`;
/** For a screen that a `reset` or a `divide` goes before: its own reset would wipe the scrollback again. */
export const withoutReset = (data: string): string =>
  data.startsWith(FULL_RESET) ? data.slice(FULL_RESET.length) : data;

/** Alternate screen, modes, colours, the mouse with its encodings, cursor shape, changed colours: all that DECSTR and the rest give back. */
const PLAIN_MODES = ['?1049l', '?9l', '?1000l', '?1002l', '?1003l', '?1006l', '?1016l', '!p', '0 q', '0m']
  .map((code) => `${ESC}[${code}`)
  .join('');

/**
 * Puts words below what is shown and scrolls both into the scrollback: what follows begins on an empty screen, as its
 * program expects. `usedRows`: where what is shown ends, as far as that is known.
 */
export const dividerText = ({ rows, words }: Pick<Divider, 'rows' | 'words'>, usedRows = rows): string =>
  `${PLAIN_MODES}${ESC}[${usedRows};1H\r\n${ESC}[2m── ${words} ──${ESC}[0m${'\r\n'.repeat(rows)}${ESC}[H`;
