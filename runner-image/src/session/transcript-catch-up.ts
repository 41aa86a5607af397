/** After a crash: a screen of its own over the spool, so that chunks are cut again from where the stored transcript ends. */
import type { Clock } from '../../../shared/clock.ts';
import { screenModel } from '../stream/screen-model.ts';
import type { Spool } from '../stream/spool.ts';
import { walkSpool } from '../stream/spool-walk.ts';
import type { Size, Snapshot, SnapshotResult } from '../stream/stream-screen.ts';
import type { OutputPiece } from '../stream/terminal-stream.ts';
import { BLANK_SCREEN } from '../stream/transcript-chunker.ts';

export interface CatchUp {
  /** The screen where the walk begins. */
  readonly start: Snapshot;
  /** The screen where the walk is. */
  snapshot(): SnapshotResult;
  readonly offset: number;
  /** Hands over what the spool has now; more may have come when it resolves. */
  walk(onPiece: (piece: OutputPiece) => void): Promise<void>;
  dispose(): void;
}

export interface CatchUpOptions {
  readonly spool: Spool;
  readonly epoch: number;
  /** Between two characters, not below the spool's base. */
  readonly from: number;
  readonly clock: Clock;
}

export const openCatchUp = async ({ spool, epoch, from, clock }: CatchUpOptions): Promise<CatchUp> => {
  const first = spool.resizes[0];
  if (first === undefined) throw new Error('a spool with bytes has no size');
  const model = screenModel(first);
  let size: Size = first;
  let offset = spool.baseOffset;
  // Before the first mark that is kept nobody knows: those bytes came at the latest then.
  const timeAt = (at: number): number =>
    (spool.times.findLast((mark) => mark.offset <= at) ?? spool.times[0])?.atMs ?? clock.nowMs();
  const follow = async (end: number, onPiece: (piece: OutputPiece) => void): Promise<void> => {
    const cuts = spool.times.map((mark) => mark.offset);
    for (const task of walkSpool(spool, offset, end, size, cuts)) {
      if (task.kind === 'resize') {
        await model.resize(task.size.cols, task.size.rows);
        size = task.size;
        continue;
      }
      await model.write(task.text);
      const { sizeRev, cols, rows } = size;
      const piece = { epoch, offset, endOffset: task.endOffset, text: task.text, atMs: timeAt(offset) };
      offset = task.endOffset;
      onPiece({ ...piece, sizeRev, cols, rows });
    }
  };
  const snapshot = (): SnapshotResult => {
    const picture = model.snapshot();
    if (picture.kind === 'not_at_ground') return picture;
    const { sizeRev, cols, rows } = size;
    return {
      kind: 'snapshot',
      snapshot: { epoch, offset: offset - model.heldBytes, sizeRev, cols, rows, data: picture.data },
    };
  };
  await follow(from, () => {});
  const taken = snapshot();
  const { sizeRev, cols, rows } = size;
  const blank: Snapshot = { epoch, offset: from, sizeRev, cols, rows, data: BLANK_SCREEN };
  return {
    // A chunk that was cut inside a control string ends where no keyframe can be taken.
    start: taken.kind === 'snapshot' && taken.snapshot.offset === from ? taken.snapshot : blank,
    snapshot,
    get offset() {
      return offset;
    },
    async walk(onPiece) {
      await follow(spool.headOffset, onPiece);
    },
    dispose: model.dispose,
  };
};
