/**
 * Bulk output that scrolls far beyond the scrollback leaves no trace but its colours: not drawing it keeps a flood of
 * build log from slowing the program down, while the screen stays exactly what it would be.
 */

/** Below this a search is not worth it. */
const MIN_CHARS = 64 * 1024;
// biome-ignore-start lint/suspicious/noControlCharactersInRegex: control characters are what this module is about.
/** Anything that does more than print, move to a line's start, tab, scroll, or colour. */
const OTHER = /[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]|\x1b(?!\[[0-9;:]*m)/g;
const COLOR = /\x1b\[[0-9;:]*m/g;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: see above.

export interface SkipPlan {
  /** To be drawn as ever. */
  readonly head: string;
  /** To be drawn instead of what is skipped, if the whole screen scrolls after `head`; otherwise `skipped` is. */
  readonly colors: string;
  readonly skipped: string;
  /** Holds `lines` line feeds and starts with one, at the start of a line. */
  readonly tail: string;
}

/** What of `text` (starting and ending at ground) need not be drawn; `lines` is the scrollback and twice the screen's height. */
export const planSkip = (text: string, lines: number): SkipPlan | undefined => {
  if (text.length < MIN_CHARS) return undefined;
  let runStart = 0;
  for (const match of text.matchAll(OTHER)) runStart = match.index + match[0].length;
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
};
