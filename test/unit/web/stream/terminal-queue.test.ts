/** xterm resizes at once but parses later: the queue keeps the stream's order. */
import { describe, expect, it } from 'vitest';
import { TerminalQueue } from '../../../../web/src/stream/terminal-queue.ts';

/** A terminal whose writes finish when the test says so. */
const slowTerminal = () => {
  const log: string[] = [];
  const pending: (() => void)[] = [];
  return {
    log,
    finish: () => pending.shift()?.(),
    write: (data: string, done: () => void) => {
      log.push(`write ${data}`);
      pending.push(done);
    },
    resize: (cols: number, rows: number) => void log.push(`resize ${cols}x${rows}`),
    reset: () => void log.push('reset'),
  };
};
const write = (data: string) => ({ kind: 'write', data }) as const;

describe('TerminalQueue', () => {
  it('resizes only after the bytes before it were parsed', () => {
    const terminal = slowTerminal();
    const queue = new TerminalQueue(terminal);
    queue.apply([write('a'), { kind: 'resize', cols: 90, rows: 24 }, write('b'), write('c')]);
    expect(terminal.log).toEqual(['write a']);
    terminal.finish();
    expect(terminal.log).toEqual(['write a', 'resize 90x24', 'write bc']);
    expect(queue.pendingChars).toBe(2);
    terminal.finish();
    expect(queue.pendingChars).toBe(0);
  });

  it('drops what a reset would wipe', () => {
    const terminal = slowTerminal();
    const queue = new TerminalQueue(terminal);
    queue.apply([write('a')]);
    queue.apply([write('b')]);
    queue.apply([{ kind: 'reset', epoch: 1 }, write('c')]);
    terminal.finish();
    expect(terminal.log).toEqual(['write a', 'reset', 'write c']);
  });

  it('scrolls up what was shown before a divider, and says why', () => {
    const terminal = slowTerminal();
    new TerminalQueue(terminal).apply([{ kind: 'divide', epoch: 2, rows: 3, words: 'went on' }]);
    expect(terminal.log).toEqual([expect.stringMatching(/\r\n\r\n\r\n.*── went on ──/s)]);
  });

  it('tells when everything was drawn, and touches nothing once closed', () => {
    const terminal = slowTerminal();
    let drawn = 0;
    const queue = new TerminalQueue(terminal, () => {
      drawn += 1;
    });
    queue.apply([write('a')]);
    queue.apply([write('b')]);
    terminal.finish();
    expect(drawn).toBe(0);
    terminal.finish();
    expect(drawn).toBe(1);
    queue.apply([write('c')]);
    queue.close();
    terminal.finish();
    queue.apply([write('d')]);
    expect(terminal.log).toEqual(['write a', 'write b', 'write c']);
  });
});
