/** The terminal this command runs in: taken for a session, and given back as it was on every way out. */
import { spawnSync } from 'node:child_process';
import { TERMINAL_DEFAULT } from '../../shared/limits.ts';
import type { TerminalSize } from '../../shared/session.ts';

/** Colours, cursor, alternate screen, mouse, bracketed paste, application keys, focus reports: whatever the program left on. */
const RESTORE =
  '\x1b[0m\x1b[?25h\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1004l\x1b[?1l\x1b>\r\n';
export interface LocalTerminal {
  size(): TerminalSize;
  restore(): void;
}

/** Raw mode until `restore`, which also runs when the process exits in another way. */
export const takeTerminal = (): LocalTerminal => {
  const { stdin, stdout } = process;
  const isRaw = stdin.isTTY === true;
  let isTaken = true;
  const restore = (): void => {
    if (!isTaken) return;
    isTaken = false;
    process.off('exit', restore);
    if (isRaw) stdin.setRawMode(false);
    if (stdout.isTTY) stdout.write(RESTORE);
    stdin.pause();
  };
  process.once('exit', restore);
  if (isRaw) {
    stdin.setRawMode(true);
    // Node's raw mode still turns a line feed into a new line, which breaks programs that draw with bare line feeds. Without
    // stty it stays so; setRawMode(false) gives back what was before in either case.
    spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
  }
  stdin.setEncoding('utf8').resume();
  return {
    size: () =>
      stdout.isTTY ? { cols: Math.max(2, stdout.columns), rows: Math.max(2, stdout.rows) } : TERMINAL_DEFAULT,
    restore,
  };
};
