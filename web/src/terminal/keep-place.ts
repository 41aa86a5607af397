/** Finds a person's place again after the screen was drawn anew: by what stood there, since line numbers have changed. */

/** The part of xterm used here. */
interface TerminalLike {
  readonly cols: number;
  readonly rows: number;
  readonly buffer: {
    readonly active: {
      readonly length: number;
      readonly baseY: number;
      readonly viewportY: number;
      getLine(row: number): { translateToString(trimRight: boolean): string } | undefined;
    };
  };
  getSelection(): string;
  getSelectionPosition(): { start: { x: number; y: number }; end: { x: number; y: number } } | undefined;
  select(column: number, row: number, length: number): void;
  clearSelection(): void;
}

export interface Place {
  /** Text of the lines in view, and which line of the buffer came first. */
  readonly lines: readonly string[];
  readonly top: number;
  readonly fromEnd: number;
  readonly selection: {
    readonly text: string;
    readonly column: number;
    readonly row: number;
    readonly cells: number;
    readonly lines: readonly string[];
  } | null;
}

const linesOf = (terminal: TerminalLike, from: number, to: number): string[] =>
  Array.from(
    { length: Math.max(0, to - from) },
    (_, index) => terminal.buffer.active.getLine(from + index)?.translateToString(true) ?? '',
  );

export const rememberPlace = (terminal: TerminalLike): Place => {
  const { viewportY, baseY } = terminal.buffer.active;
  const position = terminal.getSelectionPosition();
  const text = terminal.getSelection();
  return {
    lines: linesOf(terminal, viewportY, viewportY + terminal.rows),
    top: viewportY,
    fromEnd: baseY - viewportY,
    selection:
      position === undefined || text === ''
        ? null
        : {
            text,
            column: position.start.x,
            row: position.start.y,
            cells: (position.end.y - position.start.y) * terminal.cols + position.end.x - position.start.x,
            lines: linesOf(terminal, position.start.y, position.end.y + 1),
          },
  };
};

/**
 * First row of the best match of `wanted` in `lines`: most lines alike, then nearest to `near`. `null` when too little is
 * alike to be more than chance.
 */
export const findLines = (lines: readonly string[], wanted: readonly string[], near: number): number | null => {
  const isWord = (line: string | undefined): boolean => line !== undefined && line.trim() !== '';
  const needed = Math.min(3, wanted.filter(isWord).length);
  if (needed === 0) return null;
  let best: { row: number; alike: number } | null = null;
  for (let row = 1 - wanted.length; row < lines.length; row += 1) {
    let alike = 0;
    for (const [index, line] of wanted.entries()) if (isWord(line) && lines[row + index] === line) alike += 1;
    const isNearer = best !== null && Math.abs(row - near) < Math.abs(best.row - near);
    if (alike >= needed && (best === null || alike > best.alike || (alike === best.alike && isNearer)))
      best = { row, alike };
  }
  return best?.row ?? null;
};

/** Which line to scroll to; selects again what was selected, if it is still there. */
export const recallPlace = (terminal: TerminalLike, place: Place): number => {
  const { length, baseY } = terminal.buffer.active;
  const lines = linesOf(terminal, 0, length);
  const { selection } = place;
  if (selection !== null) {
    const row = findLines(lines, selection.lines, selection.row);
    if (row !== null && row >= 0) {
      terminal.select(selection.column, row, selection.cells);
      if (terminal.getSelection() !== selection.text) terminal.clearSelection();
    }
  }
  const top = findLines(lines, place.lines, place.top) ?? baseY - place.fromEnd;
  return Math.max(0, Math.min(top, baseY));
};
