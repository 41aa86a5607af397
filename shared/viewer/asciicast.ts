/**
 * Stored chunks and event markers as an asciicast v2 recording: what was written when, sizes where they changed, pauses as they were.
 * Lines come chunk by chunk, so that a recording of any length can be written without holding it.
 */
import type { TranscriptChunk } from '../http.ts';
import type { CastMarker } from './cast-markers.ts';
import { FULL_RESET } from './drawing.ts';
import { type BeginStep, TranscriptWalk, type WalkStep } from './transcript-walk.ts';

export interface CastInfo {
  readonly title: string;
  /** In the order of the stream; those before the first chunk are left out. */
  readonly markers: readonly CastMarker[];
}

/** Lines end with a line feed; the first one of all is the header. */
export class AsciicastWriter {
  readonly #info: CastInfo;
  readonly #walk = new TranscriptWalk();
  #nextMarker = 0;
  #startMs = 0;
  /** A clock that was set back must not bring the recording back: times never fall. */
  #lastMs = 0;
  #size = '';
  #epoch = 0;

  constructor(info: CastInfo) {
    this.#info = info;
  }

  /** The lines of the next chunk in stream order. */
  next(chunk: TranscriptChunk): string[] {
    return this.#walk.next(chunk).flatMap((step) => this.#linesOf(step));
  }

  /** The lines after the last chunk; a recording without any chunk is a header and nothing else. */
  end(size: { cols: number; rows: number }): string[] {
    if (this.#size === '') return [this.#header(size.cols, size.rows)];
    const lines: string[] = [];
    for (; ; this.#nextMarker += 1) {
      const marker = this.#info.markers[this.#nextMarker];
      if (marker === undefined) return lines;
      const { atMs, epoch, label } = marker;
      lines.push(...this.#epochLines(atMs, epoch), this.#line(atMs, 'm', label));
    }
  }

  #linesOf(step: WalkStep): string[] {
    if (step.kind === 'begin') return this.#beginLines(step);
    const lines = this.#markerLines(step);
    if (step.kind === 'write') lines.push(this.#line(step.atMs, 'o', step.data));
    else lines.push(...this.#resizeLines(step.atMs, step.cols, step.rows));
    return lines;
  }

  #beginLines({ atMs, epoch, offset, cols, rows, data, after }: BeginStep): string[] {
    const screen = data.startsWith(FULL_RESET) ? data : `${FULL_RESET}${data}`;
    const { markers } = this.#info;
    if (after === null) {
      this.#startMs = atMs;
      this.#epoch = epoch;
      const first = markers.findIndex((one) => one.epoch > epoch || (one.epoch === epoch && one.offset >= offset));
      this.#nextMarker = first === -1 ? markers.length : first;
      this.#size = `${cols}x${rows}`;
      return [this.#header(cols, rows), ...(data === '' ? [] : [this.#line(atMs, 'o', screen)])];
    }
    if (after.epoch === epoch) {
      const isTold = markers.some((one) => one.isGap && one.epoch === epoch && one.offset === after.offset);
      return [
        ...this.#markerLines({ atMs, epoch, offset }),
        ...(isTold ? [] : [this.#line(atMs, 'm', `${offset - after.offset} bytes were not stored`)]),
        ...this.#screenLines(atMs, cols, rows, screen),
      ];
    }
    const begin = this.#epochLines(atMs, epoch);
    // No later than what was printed first, and no earlier than the epoch itself.
    return [...begin, ...this.#screenLines(this.#startMs + this.#lastMs, cols, rows, screen)];
  }

  /** Each epoch up to this one has its beginning, also one of which nothing is stored; what happened before it printed anything follows that. */
  #epochLines(atMs: number, epoch: number): string[] {
    const lines: string[] = [];
    while (this.#epoch < epoch) {
      lines.push(...this.#markerLines({ atMs, epoch: this.#epoch, offset: Number.POSITIVE_INFINITY }));
      this.#epoch += 1;
      const next = this.#info.markers[this.#nextMarker];
      const beginMs = next?.epoch === this.#epoch ? Math.min(next.atMs, atMs) : atMs;
      lines.push(this.#line(beginMs, 'm', `epoch ${this.#epoch}`));
    }
    return lines;
  }

  #screenLines(atMs: number, cols: number, rows: number, screen: string): string[] {
    return [...this.#resizeLines(atMs, cols, rows), this.#line(atMs, 'o', screen)];
  }

  /** Markers up to an address; each as late as its event, but not after what followed it in the terminal. */
  #markerLines({ atMs, epoch, offset }: Pick<WalkStep, 'atMs' | 'epoch' | 'offset'>): string[] {
    const lines: string[] = [];
    for (; ; this.#nextMarker += 1) {
      const marker = this.#info.markers[this.#nextMarker];
      if (marker === undefined || marker.epoch > epoch) return lines;
      if (marker.epoch === epoch && marker.offset > offset) return lines;
      lines.push(this.#line(Math.min(marker.atMs, atMs), 'm', marker.label));
    }
  }

  #resizeLines(atMs: number, cols: number, rows: number): string[] {
    const size = `${cols}x${rows}`;
    if (size === this.#size) return [];
    this.#size = size;
    return [this.#line(atMs, 'r', size)];
  }

  #header(width: number, height: number): string {
    const timestamp = Math.floor(this.#startMs / 1_000);
    return `${JSON.stringify({ version: 2, width, height, timestamp, title: this.#info.title, env: { TERM: 'xterm-256color' } })}\n`;
  }

  #line(atMs: number, code: 'o' | 'r' | 'm', data: string): string {
    this.#lastMs = Math.max(this.#lastMs, atMs - this.#startMs);
    return `${JSON.stringify([this.#lastMs / 1_000, code, data])}\n`;
  }
}
