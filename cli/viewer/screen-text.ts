/** A terminal's bytes as the text a person would read: escapes obeyed, wrapped lines joined, blank ends cut. */
import headless, { type IBuffer } from '@xterm/headless';
import type { Size, TerminalSink } from './terminal-stream.ts';

/** Lines kept; of a longer session the oldest are left out. */
export const LOG_LINES_MAX = 50_000;

export interface ScreenText extends TerminalSink {
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

export const createScreenText = (size: Size): ScreenText => {
  const terminal = new headless.Terminal({ ...size, scrollback: LOG_LINES_MAX, allowProposedApi: true });
  let past: string[] = [];
  let epoch: number | undefined;
  // The terminal parses later than it is written to: a resize or reset has to wait for the bytes before it.
  let done: Promise<void> = Promise.resolve();
  const later = (run: () => void): void => {
    done = done.then(run);
  };
  const write = (data: string): void => {
    done = done.then(() => new Promise((resolve) => terminal.write(data, resolve)));
  };
  const setSize = ({ cols, rows }: Size): void =>
    later(() => {
      if (terminal.cols !== cols || terminal.rows !== rows) terminal.resize(cols, rows);
    });
  const lines = (): string[] => {
    const { normal, active } = terminal.buffer;
    const shown = active.type === 'alternate' ? [...readLines(normal), ...readLines(active)] : readLines(normal);
    return [...past, ...shown].slice(-LOG_LINES_MAX);
  };
  return {
    reset(next, data, nextEpoch) {
      later(() => {
        if (epoch !== undefined && epoch !== nextEpoch) past = lines();
        epoch = nextEpoch;
        terminal.reset();
      });
      setSize(next);
      write(data);
    },
    write(next, data) {
      setSize(next);
      write(data);
    },
    flush: () => done,
    lines,
    dispose: () => terminal.dispose(),
  };
};
