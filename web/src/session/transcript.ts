/** Makes a terminal out of stored chunks: each begins with a keyframe, so a missing one costs only itself and says so. */
import type { TranscriptChunk } from '../../../shared/http.ts';
import { VIEWER_TRANSCRIPT_MAX_BYTES } from '../../../shared/limits.ts';
import type { StreamAddress } from '../../../shared/session.ts';
import type { TerminalAction } from '../stream/terminal-assembler.ts';
import { dropUtf8Bytes, utf8Length } from '../stream/utf8.ts';

interface ChunkListing {
  readonly epoch: number;
  readonly number: number;
  readonly firstOffset: number;
  readonly endOffset: number;
}

/** In stream order, from the end backwards as far as the page replays; `skipped` says that there was more. */
export const chunksToReplay = <T extends ChunkListing>(chunks: readonly T[]): { chunks: T[]; skipped: boolean } => {
  const ordered = [...chunks].sort((a, b) => a.epoch - b.epoch || a.firstOffset - b.firstOffset || a.number - b.number);
  let bytes = 0;
  const first = ordered.findLastIndex((chunk) => {
    bytes += chunk.endOffset - chunk.firstOffset;
    return bytes > VIEWER_TRANSCRIPT_MAX_BYTES;
  });
  return { chunks: ordered.slice(first + 1), skipped: first >= 0 };
};

type Drawing = Exclude<TerminalAction, { kind: 'reattach' }>;

/** Leaves the alternate screen and all modes, and scrolls what is shown into the scrollback instead of wiping it. */
const DIVIDE = (rows: number, words: string): string =>
  `\u001b[?1049l\u001b[!p\u001b[0m\u001b[${rows};1H${'\r\n'.repeat(rows)}\u001b[H\u001b[2m── ${words} ──\u001b[0m\r\n`;

/** Replays chunk after chunk; `at` is where the last one ended. */
export class TranscriptReplay {
  #at: StreamAddress | null = null;
  #rows = 24;

  get at(): StreamAddress | null {
    return this.#at;
  }

  next(chunk: TranscriptChunk): Drawing[] {
    const at = this.#at;
    const goesOn = at !== null && at.epoch === chunk.epoch && chunk.firstOffset <= at.offset;
    const actions: Drawing[] = goesOn ? [] : this.#keyframe(chunk, at);
    let offset = goesOn ? at.offset : chunk.firstOffset;
    for (const part of chunk.parts) {
      if (part.k === 'r') {
        if (part.offset < offset) continue;
        this.#rows = part.rows;
        actions.push({ kind: 'resize', cols: part.cols, rows: part.rows });
        continue;
      }
      const endOffset = part.offset + utf8Length(part.data);
      if (endOffset <= offset) continue;
      const data = part.offset < offset ? dropUtf8Bytes(part.data, offset - part.offset) : part.data;
      if (data !== null) actions.push({ kind: 'write', data });
      offset = endOffset;
    }
    this.#at = { epoch: chunk.epoch, offset: Math.max(offset, chunk.endOffset) };
    return actions;
  }

  #keyframe(chunk: TranscriptChunk, at: StreamAddress | null): Drawing[] {
    const actions: Drawing[] = [];
    if (at === null) actions.push({ kind: 'reset' });
    else {
      const words =
        at.epoch === chunk.epoch
          ? `${chunk.firstOffset - at.offset} bytes were not stored`
          : `the session went on (epoch ${chunk.epoch})`;
      actions.push({ kind: 'write', data: DIVIDE(this.#rows, words) });
    }
    this.#rows = chunk.keyframe.rows;
    actions.push({ kind: 'resize', cols: chunk.keyframe.cols, rows: chunk.keyframe.rows });
    if (chunk.keyframe.data !== '') actions.push({ kind: 'write', data: chunk.keyframe.data });
    return actions;
  }
}
