/** Between the sessions and their one line: keeps the socket short, so that what is urgent never stands behind another session's flood. */
import { FRAME_MAX_BYTES, LINE_WINDOW_BYTES } from '../../../shared/limits.ts';
import { FairQueue, type Urgency } from './fair-queue.ts';

export interface FairSenderOptions {
  /** Sessions that share the line at most. */
  readonly capacity: number;
  /** Hands a frame to the socket; `onSent` once it is with the kernel. `false` while there is no line. */
  readonly transmit: (frame: string, onSent: () => void) => boolean;
}

export class FairSender {
  readonly #options: FairSenderOptions;
  readonly #queue: FairQueue;
  /** Which line the socket's bytes count for: what an earlier one still reports is nobody's. */
  #line = 0;
  #isUp = false;
  #isPumping = false;
  #onSocketBytes = 0;
  #dropped = 0;

  constructor(options: FairSenderOptions) {
    this.#options = options;
    this.#queue = new FairQueue(options.capacity);
  }

  /** Frames that found the session's queue full, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  get waitingBytes(): number {
    return this.#queue.sizeBytes;
  }

  /** @returns false while there is no line. Throws on a frame over FRAME_MAX_BYTES: the gateway would cut everybody's line for it. */
  send(sessionId: string, text: string, urgency: Urgency = 'first'): boolean {
    if (!this.#isUp) return false;
    const sizeBytes = Buffer.byteLength(text);
    if (sizeBytes > FRAME_MAX_BYTES) throw new Error(`a frame of ${sizeBytes} bytes: ${text.slice(0, 60)}`);
    if (!this.#queue.push(sessionId, { text, sizeBytes }, urgency)) this.#dropped += 1;
    this.#pump();
    return true;
  }

  /** Live output of the session that waits, as if the whole line were its own: the bound of all is shared by those that wait. */
  bufferedBytes(sessionId: string): number {
    return this.#queue.bulkBytes(sessionId) * Math.max(1, this.#queue.busy);
  }

  /** A line is up, the first or one that takes over; what waits leaves on it. */
  onUp(): void {
    this.#line += 1;
    this.#isUp = true;
    this.#onSocketBytes = 0;
    this.#pump();
  }

  /** What waits is lost like what was on the socket: batches are sent again, viewers attach again. */
  onDown(): void {
    this.#isUp = false;
    this.#queue.clear();
  }

  forget(sessionId: string): void {
    this.#queue.forget(sessionId);
  }

  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#isUp && this.#onSocketBytes < LINE_WINDOW_BYTES) {
      const frame = this.#queue.take();
      if (!frame) break;
      const line = this.#line;
      this.#onSocketBytes += frame.sizeBytes;
      const isTaken = this.#options.transmit(frame.text, () => {
        if (line !== this.#line) return;
        this.#onSocketBytes -= frame.sizeBytes;
        this.#pump();
      });
      if (!isTaken) this.onDown();
    }
    this.#isPumping = false;
  }
}
