/** The frames that watchers get: cut to the gateway's size, numbered, and followed by the head after silence. */
import type { Clock } from '../../../shared/clock.ts';
import type { RunnerFrame } from '../../../shared/frames.ts';
import { FRAME_MAX_BYTES, HEAD_REPEAT_MS, SNAPSHOT_MAX_PARTS } from '../../../shared/limits.ts';
import { splitForFrames } from '../stream/frame-splitter.ts';
import type { Snapshot } from '../stream/stream-screen.ts';
import type { SpoolPiece } from './spool-pieces.ts';

export interface WatcherFramesOptions {
  readonly sessionId: string;
  readonly epoch: number;
  readonly agentId: string;
  readonly capability: string;
  readonly clock: Clock;
  readonly headOffset: () => number;
  /** Of the list of watchers as it is now. */
  readonly viewersRev: () => number;
  readonly send: (frame: string) => void;
  /** Output waits to leave: it has not stopped, and the next frame shows as well what was lost. */
  readonly isMoreComing: () => boolean;
}

const LARGEST = Number.MAX_SAFE_INTEGER;

export class WatcherFrames {
  readonly #options: WatcherFramesOptions;
  #seq = 0;
  #snapshots = 0;
  #lastFrameMs = 0;
  #cancelHead: (() => void) | null = null;

  constructor(options: WatcherFramesOptions) {
    this.#options = options;
  }

  snapshot({ offset, sizeRev, cols, rows, data }: Snapshot, viewerId: string): void {
    const { capability, sessionId, epoch } = this.#options;
    this.#snapshots += 1;
    const base = {
      type: 'terminal_snapshot',
      capability,
      sessionId,
      epoch,
      viewerId,
      snapshotId: `${epoch}-${offset}-${this.#snapshots}`,
      part: 0,
      parts: SNAPSHOT_MAX_PARTS,
      offset,
      sizeRev,
      cols,
      rows,
      data: '',
    } as const satisfies RunnerFrame;
    const roomBytes = FRAME_MAX_BYTES - Buffer.byteLength(JSON.stringify(base)) - 8;
    const texts = snapshotParts(data, roomBytes);
    texts.forEach((text, part) => {
      this.#options.send(JSON.stringify({ ...base, part, parts: texts.length, data: text } satisfies RunnerFrame));
    });
    this.#armHead();
  }

  /** To everybody who watches by `viewersRev`, or to one. */
  piece({ offset, sizeRev, cols, rows, text }: SpoolPiece, viewersRev: number, viewerId?: string): void {
    const { capability, sessionId, epoch, agentId, clock } = this.#options;
    const base = {
      type: 'terminal_output',
      capability,
      sessionId,
      epoch,
      agentId,
      stream: 'stdout',
      viewersRev,
      ...(viewerId === undefined ? {} : { viewerId }),
      sizeRev,
      cols,
      rows,
      ts: clock.nowMs(),
    } as const;
    const emptyBytes = Buffer.byteLength(JSON.stringify({ ...base, offset: LARGEST, seq: LARGEST, data: '' }));
    let at = offset;
    for (const part of splitForFrames(text, FRAME_MAX_BYTES - emptyBytes)) {
      const frame: RunnerFrame = { ...base, offset: at, seq: this.#seq, data: part.text };
      this.#options.send(JSON.stringify(frame));
      this.#seq += 1;
      at += part.sizeBytes;
    }
    this.#armHead();
  }

  head(): void {
    const { capability, sessionId, epoch, headOffset, viewersRev, send } = this.#options;
    const frame: RunnerFrame = {
      type: 'head',
      capability,
      sessionId,
      epoch,
      viewersRev: viewersRev(),
      offset: headOffset(),
      seq: this.#seq,
    };
    send(JSON.stringify(frame));
  }

  stop(): void {
    this.#cancelHead?.();
    this.#cancelHead = null;
  }

  /** After output stops the head is repeated, so that a lost last frame shows. One timer serves a whole burst. */
  #armHead(): void {
    this.#lastFrameMs = this.#options.clock.monotonicMs();
    if (this.#cancelHead === null) this.#waitForSilence(0);
  }

  #waitForSilence(repeat: number): void {
    const quietMs = HEAD_REPEAT_MS[repeat];
    if (quietMs === undefined) {
      this.#cancelHead = null;
      return;
    }
    const { clock } = this.#options;
    const sinceMs = this.#lastFrameMs;
    this.#cancelHead = clock.after(Math.max(1, sinceMs + quietMs - clock.monotonicMs()), () => {
      if (this.#lastFrameMs !== sinceMs) {
        this.#waitForSilence(0);
        return;
      }
      if (this.#options.isMoreComing()) {
        this.#lastFrameMs = clock.monotonicMs();
        this.#waitForSilence(0);
        return;
      }
      this.head();
      this.#waitForSilence(repeat + 1);
    });
  }
}

/** At most SNAPSHOT_MAX_PARTS parts; a larger screen loses its oldest lines. */
export const snapshotParts = (data: string, roomBytes: number): string[] => {
  const parts = splitForFrames(data, roomBytes).map(({ text }) => text);
  if (parts.length === 0) return [''];
  if (parts.length <= SNAPSHOT_MAX_PARTS) return parts;
  const reset = '\x1bc';
  const tooMany = parts.slice(0, parts.length - SNAPSHOT_MAX_PARTS + 1).join('').length;
  const line = data.indexOf('\r\n', tooMany);
  return snapshotParts(reset + data.slice(line === -1 ? tooMany : line + 2), roomBytes);
};
