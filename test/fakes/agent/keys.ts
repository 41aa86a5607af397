/** Reads a raw terminal the way coding CLIs do: a paste is one text, Enter submits, Esc and Ctrl-C interrupt. */
import type { ReadStream } from 'node:tty';

export type Key =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'enter' }
  | { readonly kind: 'erase' }
  | { readonly kind: 'interrupt'; readonly isCtrlC: boolean };

const PASTE_OPEN = '\x1b[200~';
const PASTE_CLOSE = '\x1b[201~';

/** Turns pieces of input into keys; a paste may be cut anywhere. */
export function keyReader(onKey: (key: Key) => void): (piece: string) => void {
  let kept = '';
  const takeOne = (): number => {
    if (kept.startsWith(PASTE_OPEN)) {
      const end = kept.indexOf(PASTE_CLOSE);
      if (end === -1) return 0;
      onKey({ kind: 'text', text: kept.slice(PASTE_OPEN.length, end) });
      return end + PASTE_CLOSE.length;
    }
    if (kept.length > 1 && kept.length < PASTE_OPEN.length && PASTE_OPEN.startsWith(kept)) return 0;
    const char = kept[0] ?? '';
    if (char === '\r') onKey({ kind: 'enter' });
    else if (char === '\x15') onKey({ kind: 'erase' });
    else if (char === '\x03' || char === '\x1b') onKey({ kind: 'interrupt', isCtrlC: char === '\x03' });
    else onKey({ kind: 'text', text: char });
    return 1;
  };
  return (piece) => {
    kept += piece;
    for (let taken = 1; kept !== '' && taken > 0; ) {
      taken = takeOne();
      kept = kept.slice(taken);
    }
  };
}

/** Reads until the terminal goes away, which ends the process. */
export function readKeys(stdin: ReadStream, onKey: (key: Key) => void): void {
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  const take = keyReader(onKey);
  stdin.on('data', (piece: string | Buffer) => take(String(piece)));
  stdin.on('end', () => process.exit(0));
}
