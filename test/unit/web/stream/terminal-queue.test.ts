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
    screen: () => ({ rows: 3, usedRows: 2 }),
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

  it('draws a new screen unseen, in one go with its reset, and drops what that would wipe', () => {
    const terminal = slowTerminal();
    const queue = new TerminalQueue(terminal, {
      onRedraw: () => terminal.log.push('redraw'),
      onRedrawn: () => terminal.log.push('redrawn'),
      onDrawn: () => terminal.log.push('drawn'),
    });
    queue.apply([write('a')]);
    queue.apply([write('b')]);
    queue.apply([{ kind: 'reset', epoch: 1 }, { kind: 'resize', cols: 90, rows: 24 }, write('c'), write('d')]);
    terminal.finish();
    expect(terminal.log).toEqual(['write a', 'resize 90x24', 'redraw', 'write \u0018\u001bc\u001b[?2026hcd']);
    terminal.finish();
    terminal.finish();
    expect(terminal.log.slice(4)).toEqual(['redrawn', 'write \u001b[?2026l', 'drawn']);
    expect(queue.pendingChars).toBe(0);
  });

  it('wipes the screen also when nothing follows', () => {
    const terminal = slowTerminal();
    new TerminalQueue(terminal).apply([{ kind: 'reset', epoch: 1 }]);
    expect(terminal.log).toEqual(['write \u0018\u001bc\u001b[?2026h']);
    terminal.finish();
    expect(terminal.log.at(-1)).toBe('write \u001b[?2026l');
  });

  it('scrolls up what was shown before a divider, which says why, and leaves an empty screen', () => {
    const terminal = slowTerminal();
    new TerminalQueue(terminal).apply([{ kind: 'divide', epoch: 2, rows: 9, words: 'went on' }, write('next')]);
    expect(terminal.log).toHaveLength(1);
    const [said = ''] = terminal.log;
    expect(said).toContain('\u001b[2;1H\r\n');
    expect(said).toContain('── went on ──');
    expect(said.endsWith('\r\n\r\n\r\n\u001b[H')).toBe(true);
    terminal.finish();
    expect(terminal.log[1]).toBe('write next');
  });

  it('tells when everything was drawn, and touches nothing once closed', () => {
    const terminal = slowTerminal();
    let drawn = 0;
    const queue = new TerminalQueue(terminal, {
      onDrawn: () => {
        drawn += 1;
      },
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
