/** Makes a terminal out of stored chunks: each begins with a keyframe, so a missing one costs only itself and says so. */
import type { TranscriptChunk } from '../http.ts';
import { VIEWER_TRANSCRIPT_MAX_BYTES } from '../limits.ts';
import type { StreamAddress } from '../session.ts';
import { type Drawing, withoutReset } from './drawing.ts';
import { type BeginStep, TranscriptWalk } from './transcript-walk.ts';

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

export type ReplayAction = Drawing;

/** Replays chunk after chunk; `at` is where the last one ended. */
export class TranscriptReplay {
  readonly #walk = new TranscriptWalk();
  #rows = 24;

  get at(): StreamAddress | null {
    return this.#walk.at;
  }

  next(chunk: TranscriptChunk): ReplayAction[] {
    return this.#walk.next(chunk).flatMap((step): ReplayAction[] => {
      if (step.kind === 'write') return [{ kind: 'write', data: step.data }];
      if (step.kind === 'begin') return this.#begin(step);
      this.#rows = step.rows;
      return [{ kind: 'resize', cols: step.cols, rows: step.rows }];
    });
  }

  #begin({ epoch, offset, cols, rows, data, after }: BeginStep): ReplayAction[] {
    const actions: ReplayAction[] = [];
    if (after === null) actions.push({ kind: 'reset', epoch });
    else {
      const words =
        after.epoch === epoch
          ? `${offset - after.offset} bytes were not stored`
          : `the session went on (epoch ${epoch})`;
      actions.push({ kind: 'divide', epoch, rows: this.#rows, words });
    }
    this.#rows = rows;
    actions.push({ kind: 'resize', cols, rows });
    const screen = withoutReset(data);
    if (screen !== '') actions.push({ kind: 'write', data: screen });
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
