/** Makes a snapshot small enough to be sent: the oldest scrollback lines go first, then colours, never the screen's text. */
import type { Terminal } from '@xterm/headless';
import { SNAPSHOT_MAX_BYTES } from '../../../shared/limits.ts';
import type { Work } from './in-turns.ts';

const CSI = '\x1b[';
/** JSON writes a control character in six bytes and any other UTF-16 unit in at most three. */
const JSON_BYTES_PER_UNIT_MAX = 6;
/** Least part of the lines that goes in one round, so that few rounds are needed whatever the lines hold. */
const KEPT_SHARE_MAX = 0.75;

/**
 * @param serialize the screen below this many scrollback lines
 * @param lines scrollback lines there are
 * @param plain the screen alone without attributes: its text is bounded by its size
 */
export function* fitSnapshot(
  serialize: (scrollback: number) => Work<string>,
  lines: number,
  plain: () => string,
  maxJsonBytes = SNAPSHOT_MAX_BYTES,
): Work<string> {
  for (let kept = lines; ; ) {
    const data = yield* serialize(kept);
    if (data.length * JSON_BYTES_PER_UNIT_MAX <= maxJsonBytes) return data;
    const jsonBytes = Buffer.byteLength(JSON.stringify(data));
    if (jsonBytes <= maxJsonBytes) return data;
    if (kept === 0) return plain();
    kept = Math.floor(kept * Math.min(KEPT_SHARE_MAX, maxJsonBytes / jsonBytes));
  }
}

/** What stands on the screen and where the cursor is; colours and modes are lost until the program draws again. */
export const plainScreen = (terminal: Terminal): string => {
  const { active } = terminal.buffer;
  const rows = Array.from(
    { length: terminal.rows },
    (_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? '',
  );
  const screen = active.type === 'alternate' ? `${CSI}?47h` : '';
  const cursor = `${CSI}${active.cursorY + 1};${Math.min(active.cursorX, terminal.cols - 1) + 1}H`;
  return `\x1bc${screen}${rows.join('\r\n')}${cursor}`;
};
