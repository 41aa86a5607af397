/**
 * Bulk output that scrolls far beyond the scrollback leaves no trace but its colours: not drawing it keeps a flood of
 * build log from slowing the program down, while the screen stays exactly what it would be.
 */

import type { Work } from './in-turns.ts';

/** Below this a search is not worth it. */
const MIN_CHARS = 64 * 1024;
// biome-ignore-start lint/suspicious/noControlCharactersInRegex: control characters are what this module is about.
/** Anything that does more than print, move to a line's start, tab, scroll, or colour. */
const OTHER = /[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[0-9;:]*m)/g;
const COLOR = /\x1b\[[0-9;:]*m/g;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: see above.

/** Searched between two turns: well below a millisecond. */
const WINDOW_CHARS = 128 * 1024;

export interface SkipPlan {
  /** To be drawn as ever. */
  readonly head: string;
  /** To be drawn instead of what is skipped, if the whole screen scrolls after `head`; otherwise `skipped` is. */
  readonly colors: string;
  readonly skipped: string;
  /** Holds `lines` line feeds and starts with one, at the start of a line. */
  readonly tail: string;
}

/** Behind the last of what is not just printed and coloured. A colour that a window's end cuts counts as something else, which is safe. */
function* afterOther(text: string): Work<number> {
  let end = 0;
  for (let from = 0; from < text.length; from += WINDOW_CHARS) {
    if (from > 0) yield;
    for (const match of text.slice(from, from + WINDOW_CHARS).matchAll(OTHER))
      end = from + match.index + match[0].length;
  }
  return end;
}

/** What of `text` (starting and ending at ground) need not be drawn; `lines` is the scrollback and twice the screen's height. */
export function* planSkip(text: string, lines: number): Work<SkipPlan | undefined> {
  if (text.length < MIN_CHARS) return undefined;
  let runStart = yield* afterOther(text);
  // After the other control sequence's first character stands the rest of it: a line's end is past that.
  runStart = runStart === 0 ? 0 : text.indexOf('\r\n', runStart);
  if (runStart === -1) return undefined;
  let tailStart = text.length;
  for (let counted = 0; counted < lines; counted += 1) {
    tailStart = text.lastIndexOf('\r\n', tailStart - 1);
    if (tailStart <= runStart) return undefined;
  }
  const skipped = text.slice(runStart, tailStart);
  const colors = (skipped.match(COLOR) ?? []).join('');
  return { head: text.slice(0, runStart), colors, skipped, tail: text.slice(tailStart) };
}
