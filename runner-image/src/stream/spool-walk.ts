/** The spooled bytes again as what a screen is fed with: whole characters, and sizes where they changed. */
import type { Spool } from './spool.ts';
import type { ScreenTask, Size } from './stream-screen.ts';
import { utf8Decoder } from './utf8-decoder.ts';

const PIECE_BYTES = 256 * 1024;

/**
 * `cuts`: offsets between characters, rising, where a piece ends in any case.
 * Tasks of [from, end) for a screen that has the size `first` at `from`; both lie between characters.
 * Throws when the spool has dropped what is asked for.
 */
export function* walkSpool(
  spool: Spool,
  from: number,
  end: number,
  first: Size,
  cuts: readonly number[] = [],
): Generator<ScreenTask> {
  const decoder = utf8Decoder();
  const sizes = spool.resizes.filter(({ sizeRev, offset }) => sizeRev > first.sizeRev && offset <= end);
  let offset = from;
  let cut = 0;
  while (offset < end || sizes.length > 0) {
    const next = sizes[0];
    if (next !== undefined && next.offset <= offset) {
      yield { kind: 'resize', size: next };
      sizes.shift();
      continue;
    }
    while ((cuts[cut] ?? end) <= offset && cut < cuts.length) cut += 1;
    const until = Math.min(next?.offset ?? end, cuts[cut] ?? end, end);
    const read = spool.read(offset, Math.min(PIECE_BYTES, until - offset));
    if (read.kind === 'dropped' || read.bytes.length === 0) throw new Error(`spool has no bytes at ${offset}`);
    offset += read.bytes.length;
    yield { kind: 'write', text: decoder.push(read.bytes), endOffset: offset - decoder.heldBytes };
  }
}
