/** Makes a terminal out of stored chunks: each begins with a keyframe, so a missing one costs only itself and says so. */
import type { TranscriptChunk } from '../http.ts';
import { VIEWER_TRANSCRIPT_MAX_BYTES } from '../limits.ts';
import type { StreamAddress } from '../session.ts';
import type { Drawing } from './terminal-assembler.ts';
import { dropUtf8Bytes, utf8Length } from './utf8.ts';

interface ChunkListing {
  readonly epoch: number;
  readonly number: number;
  readonly firstOffset: number;
  readonly endOffset: number;
}

/** In stream order, from the end backwards as far as a viewer replays; `skipped` says that there was more. */
export const chunksToReplay = <T extends ChunkListing>(chunks: readonly T[]): { chunks: T[]; skipped: boolean } => {
  const ordered = [...chunks].sort((a, b) => a.epoch - b.epoch || a.firstOffset - b.firstOffset || a.number - b.number);
  let bytes = 0;
  const first = ordered.findLastIndex((chunk) => {
    bytes += chunk.endOffset - chunk.firstOffset;
    return bytes > VIEWER_TRANSCRIPT_MAX_BYTES;
  });
  return { chunks: ordered.slice(first + 1), skipped: first >= 0 };
};

export interface Replayed {
  /** Where the terminal stands now; `null` when nothing is stored. */
  readonly at: StreamAddress | null;
  /** The beginning was left out, as it was too long to replay. */
  readonly skipped: boolean;
  /** Chunks that could not be read. */
  readonly unreadable: number;
}

/** Another screen begins, of `epoch`, as `words` say: what was shown so far stays readable above it. */
export interface Divider {
  readonly kind: 'divide';
  readonly epoch: number;
  readonly rows: number;
  readonly words: string;
}
export type ReplayAction = Drawing | Divider;

/** Leaves the alternate screen and all modes, and scrolls what is shown into the scrollback instead of wiping it. */
export const dividerText = ({ rows, words }: Divider): string =>
  `\u001b[?1049l\u001b[!p\u001b[0m\u001b[${rows};1H${'\r\n'.repeat(rows)}\u001b[H\u001b[2m── ${words} ──\u001b[0m\r\n`;

/** Replays chunk after chunk; `at` is where the last one ended. */
export class TranscriptReplay {
  #at: StreamAddress | null = null;
  #rows = 24;

  get at(): StreamAddress | null {
    return this.#at;
  }

  next(chunk: TranscriptChunk): ReplayAction[] {
    const at = this.#at;
    const goesOn = at !== null && at.epoch === chunk.epoch && chunk.firstOffset <= at.offset;
    const actions: ReplayAction[] = goesOn ? [] : this.#keyframe(chunk, at);
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

  #keyframe(chunk: TranscriptChunk, at: StreamAddress | null): ReplayAction[] {
    const actions: ReplayAction[] = [];
    const { epoch } = chunk;
    if (at === null) actions.push({ kind: 'reset', epoch });
    else {
      const words =
        at.epoch === epoch
          ? `${chunk.firstOffset - at.offset} bytes were not stored`
          : `the session went on (epoch ${epoch})`;
      actions.push({ kind: 'divide', epoch, rows: this.#rows, words });
    }
    this.#rows = chunk.keyframe.rows;
    actions.push({ kind: 'resize', cols: chunk.keyframe.cols, rows: chunk.keyframe.rows });
    if (chunk.keyframe.data !== '') actions.push({ kind: 'write', data: chunk.keyframe.data });
    return actions;
  }
}

/**
 * Replays what is stored. `read` fetches one chunk and answers `null` where it is gone or damaged: that is counted, and
 * the next one begins with a keyframe of its own. Rejects as `read` and `draw` do.
 */
export const replayChunks = async <T extends ChunkListing>(
  listed: readonly T[],
  read: (chunk: T) => Promise<TranscriptChunk | null>,
  draw: (actions: readonly ReplayAction[]) => void | Promise<void>,
): Promise<Replayed> => {
  const { chunks, skipped } = chunksToReplay(listed);
  const replay = new TranscriptReplay();
  let unreadable = 0;
  for (const listing of chunks) {
    const chunk = await read(listing);
    if (chunk === null) unreadable += 1;
    else await draw(replay.next(chunk));
  }
  return { at: replay.at, skipped, unreadable };
};
