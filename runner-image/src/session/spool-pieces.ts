/** A range of the spool as the pieces that live frames are made of: whole characters, each written for one terminal size. */
import type { ResizeMark, Spool } from '../stream/spool.ts';
import type { Size } from '../stream/stream-screen.ts';

export interface SpoolPiece extends Size {
  readonly offset: number;
  readonly endOffset: number;
  readonly text: string;
}

export type SpoolRange =
  | { readonly kind: 'pieces'; readonly pieces: readonly SpoolPiece[] }
  /** The beginning was dropped, or the address lies inside a character or beyond the head: only a snapshot helps. */
  | { readonly kind: 'unreadable' };

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

const sizeAt = (resizes: readonly ResizeMark[], offset: number): ResizeMark | undefined =>
  resizes.findLast((mark) => mark.offset <= offset);

/** Reads [from, to); the caller bounds it (ATTACH_BYTES_MAX). */
export const readPieces = (spool: Spool, from: number, to: number): SpoolRange => {
  if (from < spool.baseOffset || from > to || to > spool.headOffset) return { kind: 'unreadable' };
  const pieces: SpoolPiece[] = [];
  for (let offset = from; offset < to; ) {
    const size = sizeAt(spool.resizes, offset);
    const next = spool.resizes.find((mark) => mark.offset > offset);
    const until = Math.min(next?.offset ?? to, to);
    if (size === undefined) return { kind: 'unreadable' };
    const chunks: Buffer[] = [];
    for (let at = offset; at < until; ) {
      const read = spool.read(at, until - at);
      if (read.kind === 'dropped' || read.bytes.length === 0) return { kind: 'unreadable' };
      chunks.push(read.bytes);
      at += read.bytes.length;
    }
    const bytes = Buffer.concat(chunks);
    if (isContinuation(bytes[0])) return { kind: 'unreadable' };
    const { sizeRev, cols, rows } = size;
    pieces.push({ offset, endOffset: until, text: bytes.toString('utf8'), sizeRev, cols, rows });
    offset = until;
  }
  return { kind: 'pieces', pieces };
};
