/**
 * Which session's frame leaves next: what is answered or acknowledged before live output, and live output in turns of equal bytes
 * (deficit round robin), where a session that had nothing waiting comes before those that flood. Pure: no socket, no time.
 */
import { FRAME_MAX_BYTES, LINE_FIRST_MAX_BYTES, LINE_QUEUE_MAX_BYTES } from '../../../shared/limits.ts';

/** `bulk` is what watchers see; it keeps its order within a session. `first` may overtake it. */
export type Urgency = 'first' | 'bulk';

export interface QueuedFrame {
  readonly text: string;
  readonly sizeBytes: number;
}

interface Lane {
  readonly frames: QueuedFrame[];
  sizeBytes: number;
}

interface Session {
  readonly first: Lane;
  readonly bulk: Lane;
  /** Bytes it may still send in this turn. */
  credit: number;
}

/** A whole frame at least, or a turn could pass without one. */
const QUANTUM_BYTES = FRAME_MAX_BYTES;

const emptyLane = (): Lane => ({ frames: [], sizeBytes: 0 });

const takeFrom = (lane: Lane): QueuedFrame | undefined => {
  const frame = lane.frames.shift();
  if (frame) lane.sizeBytes -= frame.sizeBytes;
  return frame;
};

export class FairQueue {
  readonly #bulkMaxBytes: number;
  readonly #sessions = new Map<string, Session>();
  /** Sessions with something in `first`, in turn. */
  readonly #urgent: Session[] = [];
  /** Sessions that began to send live output, each with one turn before the others. */
  readonly #fresh: Session[] = [];
  readonly #flooding: Session[] = [];
  #sizeBytes = 0;

  /** @param capacity sessions that share the queue at most */
  constructor(capacity: number) {
    this.#bulkMaxBytes = Math.floor(LINE_QUEUE_MAX_BYTES / capacity);
  }

  /** Everything that waits. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Live output of the session that waits. */
  bulkBytes(sessionId: string): number {
    return this.#sessions.get(sessionId)?.bulk.sizeBytes ?? 0;
  }

  /** Sessions whose live output waits. */
  get busy(): number {
    return this.#fresh.length + this.#flooding.length;
  }

  /** @returns false when the session's part of the queue is full, and the frame is dropped */
  push(sessionId: string, frame: QueuedFrame, urgency: Urgency): boolean {
    const session = this.#sessionOf(sessionId);
    const lane = session[urgency];
    const maxBytes = urgency === 'first' ? LINE_FIRST_MAX_BYTES : this.#bulkMaxBytes;
    if (lane.sizeBytes + frame.sizeBytes > maxBytes) return false;
    if (urgency === 'first') {
      if (lane.frames.length === 0) this.#urgent.push(session);
    } else if (!this.#fresh.includes(session) && !this.#flooding.includes(session)) {
      session.credit = QUANTUM_BYTES;
      this.#fresh.push(session);
    }
    lane.frames.push(frame);
    lane.sizeBytes += frame.sizeBytes;
    this.#sizeBytes += frame.sizeBytes;
    return true;
  }

  take(): QueuedFrame | undefined {
    const frame = this.#takeUrgent() ?? this.#takeBulk();
    if (frame) this.#sizeBytes -= frame.sizeBytes;
    return frame;
  }

  forget(sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    if (!session) return;
    this.#sessions.delete(sessionId);
    this.#sizeBytes -= session.first.sizeBytes + session.bulk.sizeBytes;
    for (const list of [this.#urgent, this.#fresh, this.#flooding]) {
      const at = list.indexOf(session);
      if (at !== -1) list.splice(at, 1);
    }
  }

  clear(): void {
    this.#sessions.clear();
    for (const list of [this.#urgent, this.#fresh, this.#flooding]) list.length = 0;
    this.#sizeBytes = 0;
  }

  #sessionOf(sessionId: string): Session {
    const known = this.#sessions.get(sessionId);
    if (known) return known;
    const session: Session = { first: emptyLane(), bulk: emptyLane(), credit: 0 };
    this.#sessions.set(sessionId, session);
    return session;
  }

  #takeUrgent(): QueuedFrame | undefined {
    const session = this.#urgent.shift();
    if (!session) return undefined;
    const frame = takeFrom(session.first);
    if (session.first.frames.length > 0) this.#urgent.push(session);
    return frame;
  }

  #takeBulk(): QueuedFrame | undefined {
    for (;;) {
      const list = this.#fresh.length > 0 ? this.#fresh : this.#flooding;
      const session = list[0];
      if (!session) return undefined;
      if (session.bulk.frames.length === 0) {
        list.shift();
        // Who comes back at once after its turn does not go before the others again.
        if (list === this.#fresh && this.#flooding.length > 0) this.#flooding.push(session);
        continue;
      }
      if (session.credit <= 0) {
        list.shift();
        session.credit += QUANTUM_BYTES;
        this.#flooding.push(session);
        continue;
      }
      const frame = takeFrom(session.bulk);
      session.credit -= frame?.sizeBytes ?? 0;
      return frame;
    }
  }
}
