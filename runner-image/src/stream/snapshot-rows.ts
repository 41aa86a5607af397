/**
 * The rows of a screen and of what has scrolled out of it, as a text that writes them into an empty terminal: every cell with its
 * looks, erased ones told from written ones, and lines that wrapped wrapped again.
 */
import type { Work } from './in-turns.ts';
import { ALL_PLAIN, isSame, type Looks, linkSequence, PLAIN, sgr } from './snapshot-looks.ts';
import {
  charsAt,
  isErasedAt,
  isPristineAt,
  isWornAt,
  type Link,
  looksAt,
  type Row,
  widthAt,
} from './terminal-internals.ts';

const CSI = '\x1b[';
const repeated = (count: number, final: string): string => `${CSI}${count === 1 ? '' : count}${final}`;

/** Columns up to the last one that is not plainly erased. */
const usedColumns = (row: Row, cols: number): number => {
  let used = cols;
  while (used > 0 && isPristineAt(row, used - 1)) used -= 1;
  return used;
};
/** A wide character that stands half beyond the edge cannot be written, and is shown as nothing. */
const isNothing = (row: Row, column: number, cols: number): boolean =>
  isErasedAt(row, column) || (column === cols - 1 && widthAt(row, column) === 2);

class RowPainter {
  readonly #cols: number;
  readonly #linkOf: (urlId: number) => Link | undefined;
  #looks: Looks = PLAIN;
  text = '';

  constructor(cols: number, linkOf: (urlId: number) => Link | undefined) {
    this.#cols = cols;
    this.#linkOf = linkOf;
  }

  plain(): void {
    this.#wear(PLAIN);
  }

  /** The cells of a row that begins at the cursor; `isDirty`: a blank stands in its first column already. */
  cells(row: Row, isDirty: boolean): void {
    const used = usedColumns(row, this.#cols);
    const end = isDirty ? Math.max(1, used) : used;
    for (let column = 0; column < end; ) {
      if (isNothing(row, column, this.#cols)) column += this.#erased(row, column, end, isDirty && column === 0);
      else column += this.#written(row, column);
    }
  }

  /** Returns how many columns it took. */
  #written(row: Row, column: number): number {
    if (!isWornAt(row, column, this.#looks)) this.#wear(looksAt(row, column));
    const width = widthAt(row, column);
    // Alone it must not join what was written before it.
    if (width === 0) this.text += `${CSI}${column + 1}G`;
    this.text += charsAt(row, column);
    return Math.max(1, width);
  }

  #erased(row: Row, column: number, end: number, isDirty: boolean): number {
    const looks = looksAt(row, column);
    let after = column + 1;
    while (after < end && isErasedAt(row, after) && isSame(looksAt(row, after), looks)) after += 1;
    const count = after - column;
    if (isDirty || !isSame(looks, PLAIN)) {
      this.#wear(looks);
      this.text += repeated(count, 'X');
    }
    if (after < this.#cols) this.text += repeated(count, 'C');
    return count;
  }

  #wear(looks: Looks): void {
    const worn = this.#looks;
    if (isSame(looks, worn)) return;
    if (looks.urlId !== worn.urlId) this.text += linkSequence(this.#linkOf(looks.urlId));
    if (!isSame({ ...looks, urlId: 0 }, { ...worn, urlId: 0 })) this.text += sgr(looks);
    this.#looks = looks;
  }
}

/** Goes to the next row by writing over the edge, in no colour, and takes back whatever blank that has left. */
const wrap = (before: Row, cols: number): string => {
  if (!isNothing(before, cols - 1, cols)) return ' \r';
  const last = looksAt(before, cols - 1);
  const restored = isSame(last, PLAIN) ? `${CSI}X` : `${sgr(last)}${CSI}X${CSI}m`;
  return `${CSI}${cols}G  ${CSI}A${CSI}${cols}G${restored}${CSI}B\r`;
};

/** Rows painted between two turns: with colours, about a millisecond. */
const ROWS_A_TURN = 50;

/**
 * @param rows in order, the first one at the top of an empty screen
 * @param isWhole every row is written, however empty: what follows counts on the last one being the lowest
 */
export function* paintRows(
  rows: readonly Row[],
  cols: number,
  isWhole: boolean,
  linkOf: (urlId: number) => Link | undefined,
): Work<string> {
  const painter = new RowPainter(cols, linkOf);
  const isUsed = (row: Row): boolean => row.isWrapped || usedColumns(row, cols) > 0;
  const end = isWhole ? rows.length : rows.findLastIndex(isUsed) + 1;
  for (const [index, row] of rows.slice(0, end).entries()) {
    const before = rows[index - 1];
    // A new line takes the colour that is set: it is made in none.
    if (before !== undefined) painter.plain();
    const isWrapped = before !== undefined && row.isWrapped;
    if (before !== undefined) painter.text += isWrapped ? wrap(before, cols) : '\r\n';
    painter.cells(row, isWrapped);
    if (index % ROWS_A_TURN === ROWS_A_TURN - 1) yield;
  }
  return `${painter.text}${ALL_PLAIN}`;
}
