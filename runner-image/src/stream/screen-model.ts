/** What the screen shows right now: answers the program's terminal queries and gives watchers a snapshot to start from. */
import unicodePackage from '@xterm/addon-unicode11';
import headless from '@xterm/headless';
import { SCREEN_SLICE_CHARS, SCROLLBACK_LINES } from '../../../shared/limits.ts';
import { planSkip } from './bulk-skip.ts';
import { fitSnapshot, plainScreen } from './fit-snapshot.ts';
import { groundGate } from './ground-gate.ts';
import { atOnce, inTurns, type Work } from './in-turns.ts';
import { isWholeScreenScrolling, serializeTerminal } from './snapshot.ts';

export interface ScreenModelOptions {
  readonly cols: number;
  readonly rows: number;
  readonly scrollbackLines?: number;
  /** Of a snapshot as JSON; SNAPSHOT_MAX_BYTES unless told. */
  readonly snapshotMaxBytes?: number;
  /** Answers to the program's queries (DA, DSR, DECRQSS…): the only ones it gets. */
  readonly onAnswer?: (data: string) => void;
}

export type Picture =
  | { readonly kind: 'snapshot'; readonly data: string; readonly cols: number; readonly rows: number }
  | { readonly kind: 'not_at_ground' };

export interface ScreenModel {
  /** Resolves when the text is parsed. An unfinished control sequence at its end waits for the next write. */
  write(text: string): Promise<void>;
  /** Takes effect after what was written before. */
  resize(cols: number, rows: number): Promise<void>;
  /** UTF-8 bytes written to the model but not yet part of what snapshot() shows. */
  readonly heldBytes: number;
  /** The text that rebuilds this screen in a terminal of its size; not_at_ground inside a very long control string, or once it is disposed of. */
  snapshot(): Picture;
  /** The same in pieces, between which everything else has its turn. Nothing may be written before it resolves. */
  snapshotInTurns(): Promise<Picture>;
  /** The visible screen as plain text, without trailing blanks. */
  text(): string;
  dispose(): void;
}

const NO_PICTURE: Picture = { kind: 'not_at_ground' };

/** A screen of the given size, with cell widths of Unicode 11 like the page's terminal. */
export const screenModel = (options: ScreenModelOptions): ScreenModel => {
  const { cols, rows, scrollbackLines = SCROLLBACK_LINES, onAnswer } = options;
  const terminal = new headless.Terminal({ cols, rows, scrollback: scrollbackLines, allowProposedApi: true });
  terminal.loadAddon(new unicodePackage.Unicode11Addon());
  terminal.unicode.activeVersion = '11';
  const gate = groundGate();
  let title = '';
  let isDisposed = false;
  terminal.onTitleChange((next) => {
    title = next;
  });
  terminal.onData((data) => onAnswer?.(data));
  const writeSlice = (text: string): Promise<void> => new Promise((resolve) => terminal.write(text, resolve));
  /** A long text is read in slices, and whatever else the runner has to do comes between them. */
  const write = async (text: string): Promise<void> => {
    let at = 0;
    for (; text.length - at > SCREEN_SLICE_CHARS; at += SCREEN_SLICE_CHARS)
      await writeSlice(text.slice(at, at + SCREEN_SLICE_CHARS));
    await writeSlice(text.slice(at));
  };
  const canBeTaken = (): boolean => !isDisposed && gate.isAtGround;
  const take = (): Work<string> => {
    const lines = Math.min(scrollbackLines, terminal.buffer.normal.baseY);
    const serialize = (kept: number): Work<string> => serializeTerminal(terminal, kept, title);
    return fitSnapshot(serialize, lines, () => plainScreen(terminal), options.snapshotMaxBytes);
  };
  const pictureOf = (data: string): Picture => ({ kind: 'snapshot', data, cols: terminal.cols, rows: terminal.rows });

  return {
    get heldBytes() {
      return Buffer.byteLength(gate.held);
    },
    async write(text) {
      const through = gate.push(text);
      const lines = scrollbackLines + 2 * terminal.rows;
      const plan = gate.isAtGround ? await inTurns(planSkip(through, lines), () => isDisposed) : undefined;
      if (plan === undefined) return write(through);
      await write(plan.head);
      // A scroll region keeps lines outside of it that the skipped text may have touched.
      await write((isWholeScreenScrolling(terminal) ? plan.colors : plan.skipped) + plan.tail);
    },
    async resize(nextCols, nextRows) {
      await write('');
      terminal.resize(nextCols, nextRows);
    },
    snapshot: () => (canBeTaken() ? pictureOf(atOnce(take())) : NO_PICTURE),
    async snapshotInTurns() {
      const data = canBeTaken() ? await inTurns(take(), () => isDisposed) : undefined;
      return data === undefined ? NO_PICTURE : pictureOf(data);
    },
    text() {
      const { active } = terminal.buffer;
      const lines = Array.from(
        { length: terminal.rows },
        (_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? '',
      );
      return lines.join('\n').trimEnd();
    },
    dispose() {
      isDisposed = true;
      terminal.dispose();
    },
  };
};
