/** The keyboard side of a viewer's stream: typed text and wanted sizes, within one term of control and one epoch, kept while no line or runner takes them. */
import type { ControlToViewerFrame, FrameOf, ViewerFrame } from '../frames.ts';
import { INPUT_PENDING_SHOWN_MS } from '../limits.ts';
import type { TerminalSize } from '../session.ts';
import { type InputLoss, type InputPiece, InputSender } from './input-sender.ts';
import { WantedSize } from './wanted-size.ts';

export interface StreamKeyboardPorts {
  readonly sessionId: string;
  readonly viewerId: string;
  /** Milliseconds on a steady clock, and since 1970. */
  readonly nowMs: () => number;
  readonly epochMs: () => number;
  readonly send: (frame: ViewerFrame) => boolean;
  /** Whether line and runner take input now; what is typed meanwhile waits. */
  readonly isReady: () => boolean;
  readonly onLoss: (loss: InputLoss) => void;
  /** How many typed characters visibly wait. */
  readonly onPending: (chars: number) => void;
}

export class StreamKeyboard {
  readonly #ports: StreamKeyboardPorts;
  readonly #input = new InputSender();
  readonly #size: WantedSize;
  #signedView: string | null = null;
  #epoch = 0;
  #waitsSinceMs: number | null = null;
  #shownPending = 0;

  constructor(size: TerminalSize, ports: StreamKeyboardPorts) {
    this.#size = new WantedSize(size);
    this.#ports = ports;
  }

  get size(): TerminalSize {
    return this.#size.size;
  }
  /** How long typed text has waited for its first ack; `null` when none does. */
  get waitedMs(): number | null {
    return this.#waitsSinceMs === null ? null : this.#ports.nowMs() - this.#waitsSinceMs;
  }

  /** Given with `attached`: proves that frames come from this viewer. */
  sign(view: string): void {
    this.#signedView = view;
  }

  /** `term`: this viewer's term of control, `null` as a watcher. What waits is sent again within the same term only. */
  control(term: number | null): void {
    const gained = term !== null && !this.#input.controlling;
    const { resend, loss } = this.#input.control(term, this.#ports.nowMs());
    this.#tell(loss);
    this.#send(resend);
    if (gained) this.#sendSize();
  }

  /** Another program reads from now on; later news of an earlier epoch change nothing. */
  startEpoch(epoch: number): void {
    if (epoch <= this.#epoch) return;
    const isFirst = this.#epoch === 0;
    this.#epoch = epoch;
    if (!isFirst) this.#tell(this.#input.startEpoch());
  }

  /** Line and runner are there again. */
  flush(): void {
    if (this.#input.term !== null) this.control(this.#input.term);
  }

  type(text: string): void {
    const { send, loss } = this.#input.type(text, this.#ports.nowMs());
    this.#send(send);
    this.#tell(loss);
  }

  acked(frame: FrameOf<ControlToViewerFrame, 'input_ack'>): void {
    if (frame.epoch !== this.#epoch && this.#epoch > 0) return;
    const before = this.#input.unackedCount;
    const send = this.#input.acked(frame, this.#ports.nowMs());
    if (this.#input.unackedCount !== before) this.#waitsSinceMs = null;
    this.#send(send);
    this.#showPending();
  }

  reset(frame: FrameOf<ControlToViewerFrame, 'input_reset'>): void {
    if (frame.epoch === this.#epoch || this.#epoch === 0) this.#tell(this.#input.reset(frame));
  }

  /** The controller's size is the PTY's; a watcher's is only remembered for when it leads. */
  resize(size: TerminalSize): void {
    if (this.#size.want(size)) this.#sendSize();
  }
  /** The stream came with `size`. */
  shown(size: TerminalSize): void {
    this.#size.shown(size, this.#ports.nowMs());
  }

  /** Call it every few hundred milliseconds. */
  tick(): void {
    if (this.#ports.isReady()) {
      if (this.#size.takeAgain(this.#ports.nowMs())) this.#sendSize();
      this.#send(this.#input.tick(this.#ports.nowMs()));
    }
    this.#showPending();
  }

  /** Sends what waits, whatever is on its way: nobody will be there after an ack. */
  leave(): void {
    this.#send(this.#input.leave());
  }

  #send(pieces: readonly InputPiece[]): void {
    const { sessionId, viewerId, isReady, send } = this.#ports;
    const view = this.#signedView;
    const epoch = this.#epoch === 0 ? {} : { epoch: this.#epoch };
    if (view !== null && isReady())
      for (const piece of pieces) send({ type: 'input', sessionId, viewerId, view, ...epoch, ...piece });
    this.#showPending();
  }

  #sendSize(): void {
    const { sessionId, viewerId, epochMs, send } = this.#ports;
    const controlTerm = this.#input.term;
    const view = this.#signedView;
    if (controlTerm === null || view === null) return;
    const rev = this.#size.nextRev(epochMs());
    send({ type: 'resize', sessionId, viewerId, view, controlTerm, rev, ...this.#size.size });
  }

  #tell(loss: InputLoss | null): void {
    if (loss !== null) this.#ports.onLoss(loss);
    this.#showPending();
  }

  /** Not shown while the answer is merely on its way. */
  #showPending(): void {
    const { pendingChars } = this.#input;
    if (pendingChars === 0) this.#waitsSinceMs = null;
    else this.#waitsSinceMs ??= this.#ports.nowMs();
    const isLate = (this.waitedMs ?? 0) >= INPUT_PENDING_SHOWN_MS || !this.#ports.isReady();
    const shown = isLate ? pendingChars : 0;
    if (shown === this.#shownPending) return;
    this.#shownPending = shown;
    this.#ports.onPending(shown);
  }
}
