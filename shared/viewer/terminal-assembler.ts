/** Makes one exact terminal out of frames that arrive late, twice, out of order or never (protocol.md "Terminal"). */
import type { ControlToViewerFrame, FrameOf } from '../frames.ts';
import { VIEWER_HOLD_MAX_FRAMES, VIEWER_HOLD_MS, VIEWER_REATTACH_AGAIN_MS } from '../limits.ts';
import type { StreamAddress } from '../session.ts';
import { type Drawing, withoutReset } from './drawing.ts';
import { SnapshotParts } from './snapshot-parts.ts';
import { dropUtf8Bytes, utf8Length } from './utf8.ts';

type OutputFrame = FrameOf<ControlToViewerFrame, 'terminal_output'>;
type SnapshotFrame = FrameOf<ControlToViewerFrame, 'terminal_snapshot'>;
type Output = Pick<OutputFrame, 'epoch' | 'offset' | 'sizeRev' | 'cols' | 'rows' | 'data'>;
type Snapshot = Omit<SnapshotFrame, 'type' | 'sessionId' | 'viewerId' | 'part' | 'parts' | 'snapshotId'>;

export type { Drawing };
/** `reattach` without an address asks for a snapshot. */
export type TerminalAction = Drawing | { readonly kind: 'reattach'; readonly from: StreamAddress | undefined };

/**
 * State of one viewer's terminal. Feed it frames and the time (`nowMs` of any steady clock); it answers what to do.
 * `tick` must be called at least every VIEWER_HOLD_MS while `behind` is true.
 */
export class TerminalAssembler {
  #epoch = 0;
  #offset = 0;
  #sizeRev = -1;
  #size = { cols: 0, rows: 0 };
  /** Whether what the terminal shows is the stream from its beginning or from a snapshot. */
  #based = false;
  /** A new screen began with this epoch and nothing was drawn on it. */
  #isFresh = false;
  #held = new Map<number, Output>();
  readonly #snapshots = new SnapshotParts();
  #knownHead: StreamAddress = { epoch: 0, offset: 0 };
  #behindSinceMs: number | null = null;
  #askedAtMs: number | null = null;
  #needsSnapshot = false;

  /** Where the next byte belongs; `undefined` before anything was shown, so that an attach asks for a snapshot. */
  get address(): StreamAddress | undefined {
    return this.#epoch > 0 && this.#based ? { epoch: this.#epoch, offset: this.#offset } : undefined;
  }

  get behind(): boolean {
    const { epoch, offset } = this.#knownHead;
    return (
      this.#held.size > 0 || (offset > 0 && epoch > this.#epoch) || (epoch === this.#epoch && offset > this.#offset)
    );
  }

  /** Takes a terminal that already shows everything below `address` (a replayed transcript). */
  rebase(address: StreamAddress): void {
    this.#startEpoch(address.epoch);
    this.#offset = address.offset;
    this.#based = true;
  }

  /** Forgets the terminal's content, for a viewer too slow to show it: the next attach asks for a snapshot. */
  forget(): void {
    this.#startEpoch(this.#epoch);
    this.#behindSinceMs = null;
    this.#needsSnapshot = true;
  }

  output(frame: Output, nowMs: number): TerminalAction[] {
    if (frame.epoch < this.#epoch) return [];
    const actions: TerminalAction[] = frame.epoch > this.#epoch ? this.#newScreen(frame.epoch) : [];
    if (frame.epoch > this.#epoch) {
      this.#startEpoch(frame.epoch);
      this.#isFresh = true;
    }
    this.#hold(frame);
    const broken = this.#drain(actions);
    return [...actions, ...this.#settle(nowMs, actions.length > 0, broken || this.#held.size > VIEWER_HOLD_MAX_FRAMES)];
  }

  snapshot(frame: SnapshotFrame, nowMs: number): TerminalAction[] {
    if (frame.epoch < this.#epoch) return [];
    // Parts that come in show that the answer is under way: the hold starts anew.
    if (this.#behindSinceMs !== null) this.#behindSinceMs = nowMs;
    const data = this.#snapshots.add(frame);
    if (data === null || this.#alreadyShows(frame)) return [];
    return this.#applySnapshot({ ...frame, data }, nowMs);
  }

  /** The stream's end as the runner or the control plane knows it: below it this viewer is behind. */
  head(head: StreamAddress, nowMs: number): TerminalAction[] {
    this.#noteHead(head);
    return this.#settle(nowMs, false, false);
  }

  tick(nowMs: number): TerminalAction[] {
    return this.#settle(nowMs, false, false);
  }

  #noteHead({ epoch, offset }: StreamAddress): void {
    const known = this.#knownHead;
    if (epoch > known.epoch || (epoch === known.epoch && offset > known.offset)) this.#knownHead = { epoch, offset };
  }

  #alreadyShows(frame: Snapshot): boolean {
    return this.#based && frame.epoch === this.#epoch && frame.offset <= this.#offset;
  }

  #applySnapshot(snapshot: Snapshot, nowMs: number): TerminalAction[] {
    const held = snapshot.epoch === this.#epoch ? this.#held : new Map<number, Output>();
    const actions: TerminalAction[] = this.#newScreen(snapshot.epoch);
    this.#startEpoch(snapshot.epoch);
    this.#held = held;
    this.#offset = snapshot.offset;
    this.#based = true;
    this.#applySize(snapshot, actions);
    const data = withoutReset(snapshot.data);
    if (data !== '') actions.push({ kind: 'write', data });
    const broken = this.#drain(actions);
    return [...actions, ...this.#settle(nowMs, true, broken)];
  }

  /** A later epoch is another program on another screen: what the earlier one showed stays above it. */
  #newScreen(epoch: number): Drawing[] {
    if (epoch > this.#epoch && this.#based) {
      const words = `the session went on (epoch ${epoch})`;
      return [{ kind: 'divide', epoch, rows: this.#size.rows, words }];
    }
    // A screen that a divider has just emptied needs nothing more, and what stands above it would be lost.
    return epoch === this.#epoch && this.#isFresh ? [] : [{ kind: 'reset', epoch }];
  }

  #startEpoch(epoch: number): void {
    this.#epoch = epoch;
    this.#offset = 0;
    this.#sizeRev = -1;
    this.#size = { cols: 0, rows: 0 };
    this.#based = false;
    this.#isFresh = false;
    this.#held = new Map();
    this.#askedAtMs = null;
    this.#needsSnapshot = false;
  }

  /** Of two frames at one offset the longer one says more; the shorter is its beginning. */
  #hold(frame: Output): void {
    const other = this.#held.get(frame.offset);
    const newer = other === undefined || (other.data === '' && frame.sizeRev > other.sizeRev);
    if (newer || other.data.length < frame.data.length) this.#held.set(frame.offset, frame);
  }

  /** Writes what follows on without a hole; true when a frame does not fit the bytes shown. */
  #drain(actions: TerminalAction[]): boolean {
    for (const frame of [...this.#held.values()].sort((a, b) => a.offset - b.offset)) {
      if (frame.offset > this.#offset) return false;
      this.#held.delete(frame.offset);
      const data = this.#unseen(frame);
      if (data === null) {
        this.#noteHead({ epoch: frame.epoch, offset: frame.offset + utf8Length(frame.data) });
        return true;
      }
      if (data === '' && !(frame.offset === this.#offset && frame.sizeRev > this.#sizeRev)) continue;
      this.#based = true;
      this.#applySize(frame, actions);
      if (data === '') continue;
      this.#isFresh = false;
      actions.push({ kind: 'write', data });
      this.#offset += utf8Length(data);
    }
    return false;
  }

  #unseen(frame: Output): string | null {
    const overlapBytes = this.#offset - frame.offset;
    if (overlapBytes === 0) return frame.data;
    return overlapBytes >= utf8Length(frame.data) ? '' : dropUtf8Bytes(frame.data, overlapBytes);
  }

  #applySize(size: Pick<Output, 'sizeRev' | 'cols' | 'rows'>, actions: TerminalAction[]): void {
    if (size.sizeRev <= this.#sizeRev) return;
    this.#sizeRev = size.sizeRev;
    if (size.cols === this.#size.cols && size.rows === this.#size.rows) return;
    this.#size = { cols: size.cols, rows: size.rows };
    actions.push({ kind: 'resize', ...this.#size });
  }

  /** Decides whether waiting goes on or a re-attach is due. */
  #settle(nowMs: number, progressed: boolean, mustAsk: boolean): TerminalAction[] {
    if (mustAsk) return this.#ask(nowMs, true);
    if (!this.behind) {
      this.#behindSinceMs = null;
      this.#askedAtMs = null;
      return [];
    }
    if (this.#behindSinceMs === null || progressed) this.#behindSinceMs = nowMs;
    return nowMs - this.#behindSinceMs >= VIEWER_HOLD_MS ? this.#ask(nowMs, false) : [];
  }

  #ask(nowMs: number, dropHeld: boolean): TerminalAction[] {
    if (dropHeld) this.#dropFarthest();
    if (this.#askedAtMs !== null && nowMs - this.#askedAtMs < VIEWER_REATTACH_AGAIN_MS) return [];
    this.#askedAtMs = nowMs;
    return [{ kind: 'reattach', from: this.#askFrom() }];
  }

  #askFrom(): StreamAddress | undefined {
    const { epoch } = this.#knownHead;
    if (epoch > this.#epoch) return { epoch, offset: 0 };
    return this.#epoch > 0 && !this.#needsSnapshot ? { epoch: this.#epoch, offset: this.#offset } : undefined;
  }

  /** Over the cap the frames farthest ahead go first: the answer to the re-attach brings them again. */
  #dropFarthest(): void {
    const sorted = [...this.#held.values()].sort((a, b) => a.offset - b.offset);
    const last = sorted.at(-1);
    if (last !== undefined) this.#noteHead({ epoch: last.epoch, offset: last.offset + utf8Length(last.data) });
    this.#held = new Map(sorted.slice(0, VIEWER_HOLD_MAX_FRAMES).map((frame) => [frame.offset, frame]));
  }
}
