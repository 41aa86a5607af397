/** A terminal's bytes as the text a person would read: escapes obeyed, wrapped lines joined, blank ends cut. */
import headless, { type IBuffer } from '@xterm/headless';
import type { TerminalSize } from '../../shared/session.ts';
import type { TerminalSink } from '../../shared/viewer/stream-terminal.ts';
import type { ReplayAction } from '../../shared/viewer/transcript-replay.ts';

/** Lines kept; of a longer session the oldest are left out. */
export const LOG_LINES_MAX = 50_000;

export interface ScreenText extends TerminalSink {
  apply(actions: readonly ReplayAction[]): void;
  /** Resolves once everything written so far is on the screen. */
  flush(): Promise<void>;
  /** All lines, earlier epochs and scrollback first; blank lines at the end are left out. */
  lines(): string[];
  dispose(): void;
}

const readLines = (buffer: IBuffer): string[] => {
  const lines: string[] = [];
  for (let y = 0; y < buffer.length; y += 1) {
    const line = buffer.getLine(y);
    const continues = buffer.getLine(y + 1)?.isWrapped === true;
    const text = line?.translateToString(!continues) ?? '';
    if (line?.isWrapped && lines.length > 0) lines[lines.length - 1] += text;
    else lines.push(text);
  }
  while (lines.at(-1)?.trim() === '') lines.pop();
  return lines.map((line) => line.trimEnd());
};

interface Past {
  readonly epoch: number;
  readonly lines: readonly string[];
}

export const createScreenText = (size: TerminalSize): ScreenText => {
  const terminal = new headless.Terminal({ ...size, scrollback: LOG_LINES_MAX, allowProposedApi: true });
  let past: Past[] = [];
  let epoch: number | undefined;
  let pendingChars = 0;
  // What is cleared stays in line, but is not drawn any more.
  let generation = 0;
  // The terminal parses later than it is written to: a resize or reset has to wait for the bytes before it.
  let done: Promise<void> = Promise.resolve();
  const shown = (): string[] => {
    const { normal, active } = terminal.buffer;
    return active.type === 'alternate' ? [...readLines(normal), ...readLines(active)] : readLines(normal);
  };
  const beginEpoch = (next: number): void => {
    if (epoch !== undefined && epoch !== next) past.push({ epoch, lines: shown() });
    // The new screen of an epoch brings its own scrollback.
    else past = past.filter((one) => one.epoch !== next);
    epoch = next;
    terminal.reset();
  };
  const divide = (next: number, words: string): void => {
    if (epoch !== undefined) past.push({ epoch, lines: [...shown(), `── ${words} ──`] });
    epoch = next;
    terminal.reset();
  };
  const draw = (action: ReplayAction): void | Promise<void> => {
    if (action.kind === 'reset') beginEpoch(action.epoch);
    else if (action.kind === 'divide') divide(action.epoch, action.words);
    else if (action.kind === 'resize') terminal.resize(action.cols, action.rows);
    else return new Promise((resolve) => terminal.write(action.data, resolve));
  };
  const queue = (action: ReplayAction): void => {
    const chars = action.kind === 'write' ? action.data.length : 0;
    const queuedIn = generation;
    pendingChars += chars;
    done = done.then(async () => {
      if (queuedIn !== generation) return;
      await draw(action);
      if (queuedIn === generation) pendingChars -= chars;
    });
  };
  return {
    apply: (actions) => actions.forEach(queue),
    clear: () => {
      generation += 1;
      pendingChars = 0;
    },
    pendingChars: () => pendingChars,
    flush: () => done,
    lines: () => [...past.flatMap((one) => one.lines), ...shown()].slice(-LOG_LINES_MAX),
    dispose: () => terminal.dispose(),
  };
};
