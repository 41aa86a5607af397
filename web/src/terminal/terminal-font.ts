/** A watcher never changes the PTY's size: its letters shrink to fit, down to what can still be read, then it scrolls. */

export const FONT_MIN_PX = 9;
export const FONT_MAX_PX = 24;
export const FONT_DEFAULT_PX = 13;
/** Below this a watched line is scrolled sideways instead of shrunk. */
const WATCH_MIN_PX = 7;

/**
 * Font size in pixels that shows `cols` columns within `widthPx`.
 * `cellWidthPx` is the width of a cell at `fontPx`; the person's own size is never exceeded.
 */
export const watcherFontPx = (
  fit: { widthPx: number; cols: number; cellWidthPx: number; fontPx: number },
  wantedPx: number,
): number => {
  if (fit.cellWidthPx <= 0 || fit.cols <= 0 || fit.widthPx <= 0) return wantedPx;
  const perPx = fit.cellWidthPx / fit.fontPx;
  const fitting = Math.floor((fit.widthPx / (fit.cols * perPx)) * 2) / 2;
  return Math.max(Math.min(wantedPx, WATCH_MIN_PX), Math.min(wantedPx, fitting));
};

export const clampFontPx = (fontPx: number): number => Math.min(FONT_MAX_PX, Math.max(FONT_MIN_PX, Math.round(fontPx)));
