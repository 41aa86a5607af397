/** The spooled bytes again as what a screen is fed with: whole characters, and sizes where they changed. */
import type { Spool } from './spool.ts';
import type { ScreenTask, Size } from './stream-screen.ts';
import { utf8Decoder } from './utf8-decoder.ts';

const PIECE_BYTES = 256 * 1024;

/**
 * Tasks of [from, end) for a screen that has the size `first` at `from`; both lie between characters.
 * Throws when the spool has dropped what is asked for.
 */
export function* walkSpool(spool: Spool, from: number, end: number, first: Size): Generator<ScreenTask> {
  const decoder = utf8Decoder();
  const sizes = spool.resizes.filter(({ sizeRev, offset }) => sizeRev > first.sizeRev && offset <= end);
  let offset = from;
  while (offset < end || sizes.length > 0) {
    const next = sizes[0];
    if (next !== undefined && next.offset <= offset) {
      yield { kind: 'resize', size: next };
      sizes.shift();
      continue;
    }
    const read = spool.read(offset, Math.min(PIECE_BYTES, Math.min(next?.offset ?? end, end) - offset));
    if (read.kind === 'dropped' || read.bytes.length === 0) throw new Error(`spool has no bytes at ${offset}`);
    offset += read.bytes.length;
    yield { kind: 'write', text: decoder.push(read.bytes), endOffset: offset - decoder.heldBytes };
  }
}
