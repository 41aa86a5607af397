/**
 * Numbers a person's input and resends it only while that is safe: within one term of control (protocol.md "Input").
 * A window bounds what is on its way; faster typing waits and shares frames, so that no key is refused for its speed.
 */
import { INPUT_RESEND_FIRST_MS, INPUT_RESEND_MAX_MS, INPUT_WAITING_MAX_CHARS, INPUT_WINDOW_FRAMES } from '../limits.ts';
import { firstInputPiece } from './input-pieces.ts';

export interface InputPiece {
  readonly inputSeq: number;
  readonly controlTerm: number;
  readonly data: string;
}

/** Why typed text did not arrive; `characters` is how many. The text is for its person alone, who may not want it shown. */
export interface InputLoss {
  readonly characters: number;
  readonly text: string;
  readonly reason: 'hole' | 'overflow' | 'not_controller' | 'not_running' | 'control_moved' | 'too_fast' | 'moved_on';
}

const textOf = (pieces: readonly InputPiece[]): string => pieces.map(({ data }) => data).join('');
const lossOf = (text: string, reason: InputLoss['reason']): InputLoss => ({ characters: text.length, text, reason });

export class InputSender {
  #term: number | null = null;
  #numberedTerm: number | null = null;
  #nextSeq = 1;
  /** Sent at least once: their bytes stay as they are. At most INPUT_WINDOW_FRAMES. */
  #unacked: InputPiece[] = [];
  /** Typed in this term and not numbered yet; empty while the window is open. */
  #waiting = '';
  #resendAtMs: number | null = null;
  #resendDelayMs = INPUT_RESEND_FIRST_MS;

  /** Whether this viewer may type now. */
  get controlling(): boolean {
    return this.#term !== null;
  }
  get term(): number | null {
    return this.#term;
  }
  get unackedCount(): number {
    return this.#unacked.length;
  }
  /** Typed and not known to have arrived. */
  get pendingChars(): number {
    return this.#unacked.reduce((sum, { data }) => sum + data.length, this.#waiting.length);
  }

  /**
   * After `attached` or `presence`: `term` is this viewer's term of control, or `null` as a watcher.
   * Within the same term everything unacknowledged is due again; a new term drops it, as somebody else may have typed since.
   */
  control(term: number | null, nowMs: number): { resend: InputPiece[]; loss: InputLoss | null } {
    if (term !== null && term === this.#term) {
      this.#arm(nowMs);
      return { resend: [...this.#unacked], loss: null };
    }
    const loss = this.#drop('control_moved');
    this.#term = term;
    // The runner counts each term of each viewer from 1.
    if (term !== null && term !== this.#numberedTerm) {
      this.#numberedTerm = term;
      this.#nextSeq = 1;
    }
    return { resend: [], loss };
  }

  /** Pieces to send now: none while the window is full, when `text` waits for an ack. Refuses, and says so, beyond INPUT_WAITING_MAX_CHARS. */
  type(text: string, nowMs: number): { send: InputPiece[]; loss: InputLoss | null } {
    const refused = (reason: InputLoss['reason']) => ({ send: [], loss: lossOf(text, reason) });
    if (this.#term === null) return refused('not_controller');
    if (this.#waiting.length + text.length > INPUT_WAITING_MAX_CHARS) return refused('too_fast');
    this.#waiting += text;
    const wasIdle = this.#unacked.length === 0;
    const send = this.#number(INPUT_WINDOW_FRAMES);
    if (wasIdle) this.#arm(nowMs);
    return { send, loss: null };
  }

  /** The runner delivered everything up to `inputSeq`; returns what waited for that, to be sent now. */
  acked(ack: { inputSeq: number; controlTerm: number }, nowMs: number): InputPiece[] {
    if (ack.controlTerm !== this.#term) return [];
    const before = this.#unacked.length;
    this.#unacked = this.#unacked.filter((piece) => piece.inputSeq > ack.inputSeq);
    if (this.#unacked.length === before) return [];
    const send = this.#number(INPUT_WINDOW_FRAMES);
    this.#arm(nowMs);
    return send;
  }

  /** Everything that still waits, whatever is on its way: nobody will be there to send it after an ack. */
  leave(): InputPiece[] {
    return this.#number(Number.POSITIVE_INFINITY);
  }

  /**
   * The runner discarded what came before `expected`, a number above everything it saw: typing goes on from there and the
   * person is told. What waited was typed behind the hole and goes with it. Numbers never go back, so a late or repeated
   * reset drops nothing typed after it.
   */
  reset(reset: { expected: number; controlTerm: number; reason: InputLoss['reason'] }): InputLoss | null {
    if (reset.controlTerm !== this.#term) return null;
    const lost = this.#unacked.filter((piece) => piece.inputSeq < reset.expected);
    this.#nextSeq = Math.max(this.#nextSeq, reset.expected);
    if (lost.length === 0) return null;
    this.#unacked = this.#unacked.slice(lost.length);
    const text = textOf(lost) + this.#waiting;
    this.#waiting = '';
    return lossOf(text, reset.reason);
  }

  /** The session goes on in another program: what was typed at the old one's screen is not for it, and its runner counts from 1. */
  startEpoch(): InputLoss | null {
    this.#nextSeq = 1;
    return this.#drop('moved_on');
  }

  /** What has waited too long for its ack; call it every few hundred milliseconds while connected. */
  tick(nowMs: number): InputPiece[] {
    if (this.#unacked.length === 0 || this.#resendAtMs === null || nowMs < this.#resendAtMs) return [];
    this.#resendDelayMs = Math.min(INPUT_RESEND_MAX_MS, this.#resendDelayMs * 2);
    this.#resendAtMs = nowMs + this.#resendDelayMs;
    return [...this.#unacked];
  }

  /** Numbers what waits, as much as fits each frame, until `windowFrames` are without an ack. */
  #number(windowFrames: number): InputPiece[] {
    const controlTerm = this.#term;
    const send: InputPiece[] = [];
    if (controlTerm === null) return send;
    while (this.#waiting !== '' && this.#unacked.length + send.length < windowFrames) {
      const data = firstInputPiece(this.#waiting);
      this.#waiting = this.#waiting.slice(data.length);
      send.push({ inputSeq: this.#nextSeq++, controlTerm, data });
    }
    this.#unacked.push(...send);
    return send;
  }

  #arm(nowMs: number): void {
    this.#resendDelayMs = INPUT_RESEND_FIRST_MS;
    this.#resendAtMs = this.#unacked.length === 0 ? null : nowMs + this.#resendDelayMs;
  }

  #drop(reason: InputLoss['reason']): InputLoss | null {
    const text = textOf(this.#unacked) + this.#waiting;
    this.#unacked = [];
    this.#waiting = '';
    this.#resendAtMs = null;
    return text === '' ? null : lossOf(text, reason);
  }
}
