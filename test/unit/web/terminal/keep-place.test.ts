/** After a redraw a person looks at the same lines as before, wherever they are now. */
import { describe, expect, it } from 'vitest';
import { findLines, recallPlace, rememberPlace } from '../../../../web/src/terminal/keep-place.ts';

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, at) => `line ${from + at}`);

/** A terminal of five rows that holds `lines`. */
const terminalOf = (lines: readonly string[], viewportY: number, rows = 5) => {
  let selected: { column: number; row: number; length: number } | null = null;
  return {
    cols: 20,
    rows,
    buffer: {
      active: {
        length: lines.length,
        baseY: Math.max(0, lines.length - rows),
        viewportY,
        getLine: (row: number) => {
          const line = lines[row];
          return line === undefined ? undefined : { translateToString: () => line };
        },
      },
    },
    getSelection: () =>
      selected === null ? '' : (lines[selected.row] ?? '').slice(selected.column, selected.column + selected.length),
    getSelectionPosition: () =>
      selected === null
        ? undefined
        : {
            start: { x: selected.column, y: selected.row },
            end: { x: selected.column + selected.length, y: selected.row },
          },
    select: (column: number, row: number, length: number) => {
      selected = { column, row, length };
    },
    clearSelection: () => {
      selected = null;
    },
  };
};

describe('findLines', () => {
  it('takes the place where most lines are alike, the nearest of equals', () => {
    const lines = ['a', 'b', 'c', 'x', 'a', 'b', 'c', 'd', 'a', 'b', 'c', 'd'];
    expect(findLines(lines, ['a', 'b', 'c', 'd'], 0)).toBe(4);
    expect(findLines(lines, ['a', 'b', 'c', 'd'], 11)).toBe(8);
  });

  it('takes no chance match for a place', () => {
    expect(findLines(['$', 'other', 'lines'], ['$', 'what', 'was', 'here'], 0)).toBeNull();
    expect(findLines(['', '', ''], ['', ''], 0)).toBeNull();
  });
});

describe('a place', () => {
  it('is found again when older lines were dropped and newer ones came', () => {
    const before = rememberPlace(terminalOf(numbered(0, 100), 40));
    expect(recallPlace(terminalOf(numbered(30, 150), 0), before)).toBe(10);
  });

  it('keeps its distance from the end when what stood there is gone', () => {
    const before = rememberPlace(terminalOf(numbered(0, 100), 75));
    expect(recallPlace(terminalOf(Array(60).fill('else'), 0), before)).toBe(35);
  });

  it('keeps what is selected, and selects nothing else instead', () => {
    const terminal = terminalOf(numbered(0, 100), 95);
    terminal.select(5, 97, 2);
    const before = rememberPlace(terminal);
    expect(before.selection?.text).toBe('97');
    const after = terminalOf(numbered(50, 120), 0);
    recallPlace(after, before);
    expect(after.getSelection()).toBe('97');
    const gone = terminalOf(numbered(200, 300), 0);
    recallPlace(gone, before);
    expect(gone.getSelection()).toBe('');
  });
});
