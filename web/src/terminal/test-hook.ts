/**
 * What browser tests may look at: `window.__village.term` is the xterm in view, `text()` its buffer, `address()` its place
 * in the stream. A test that sets `window.__villageRecord = []` before the page loads gets every action the terminal
 * performs, in order, to compare with what left the PTY. Nothing in the page reads any of it.
 */
import type { Terminal } from '@xterm/xterm';
import type { StreamAddress } from '../../../shared/session.ts';
import type { TerminalAction } from '../../../shared/viewer/terminal-assembler.ts';

interface Hook {
  readonly term: Terminal;
  readonly text: () => string;
  readonly address: () => StreamAddress | undefined;
}
declare global {
  interface Window {
    __village?: Hook;
    __villageRecord?: TerminalAction[];
  }
}

const textOf = (terminal: Terminal): string => {
  const buffer = terminal.buffer.active;
  const lines = Array.from({ length: buffer.length }, (_, line) => buffer.getLine(line)?.translateToString(true) ?? '');
  return lines.join('\n').trimEnd();
};

/** Returns what takes the hook away again. */
export const exposeForTests = (terminal: Terminal, address: () => StreamAddress | undefined): (() => void) => {
  const hook: Hook = { term: terminal, text: () => textOf(terminal), address };
  window.__village = hook;
  return () => {
    if (window.__village === hook) delete window.__village;
  };
};

export const recordForTests = (actions: readonly TerminalAction[]): void => {
  if (Array.isArray(window.__villageRecord)) window.__villageRecord.push(...actions);
};
