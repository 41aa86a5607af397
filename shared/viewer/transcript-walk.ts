/** Stored chunks as one stream with its times: bytes that overlap are trimmed, what is missing shows as a new beginning. */
import type { TranscriptChunk } from '../http.ts';
import type { StreamAddress } from '../session.ts';
import { dropUtf8Bytes, utf8Length } from './utf8.ts';

interface Step {
  /** Milliseconds since 1970, as the runner's clock said. */
  readonly atMs: number;
  readonly epoch: number;
  readonly offset: number;
}
/** A whole screen: the first one, that of another epoch, or what stands after a hole. */
export interface BeginStep extends Step {
  readonly kind: 'begin';
  readonly cols: number;
  readonly rows: number;
  readonly data: string;
  /** Where the stream stopped before; `null` at the very beginning. */
  readonly after: StreamAddress | null;
}
export interface ResizeStep extends Step {
  readonly kind: 'resize';
  readonly cols: number;
  readonly rows: number;
}
export interface WriteStep extends Step {
  readonly kind: 'write';
  readonly data: string;
}
export type WalkStep = BeginStep | ResizeStep | WriteStep;

/** Chunks go in by the order of the stream; `at` is where the last one ended. */
export class TranscriptWalk {
  #at: StreamAddress | null = null;

  get at(): StreamAddress | null {
    return this.#at;
  }

  next(chunk: TranscriptChunk): WalkStep[] {
    const { epoch } = chunk;
    const at = this.#at;
    const goesOn = at !== null && at.epoch === epoch && chunk.firstOffset <= at.offset;
    const steps: WalkStep[] = goesOn ? [] : [beginOf(chunk, at)];
    let offset = goesOn ? at.offset : chunk.firstOffset;
    for (const part of chunk.parts) {
      const { ts: atMs } = part;
      if (part.k === 'r') {
        if (part.offset < offset) continue;
        steps.push({ kind: 'resize', atMs, epoch, offset: part.offset, cols: part.cols, rows: part.rows });
        continue;
      }
      const endOffset = part.offset + utf8Length(part.data);
      if (endOffset <= offset) continue;
      const data = part.offset < offset ? dropUtf8Bytes(part.data, offset - part.offset) : part.data;
      if (data !== null) steps.push({ kind: 'write', atMs, epoch, offset: Math.max(offset, part.offset), data });
      offset = endOffset;
    }
    this.#at = { epoch, offset: Math.max(offset, chunk.endOffset) };
    return steps;
  }
}

const beginOf = ({ epoch, firstOffset, keyframe, parts }: TranscriptChunk, after: StreamAddress | null): BeginStep => ({
  kind: 'begin',
  atMs: parts[0]?.ts ?? 0,
  epoch,
  offset: firstOffset,
  cols: keyframe.cols,
  rows: keyframe.rows,
  data: keyframe.data,
  after,
});
