/** Numbers a person's input and resends it only while that is safe: within one term of control (protocol.md "Input"). */
import {
  INPUT_MAX_HELD_FRAMES,
  INPUT_RESEND_FIRST_MS,
  INPUT_RESEND_MAX_FRAMES,
  INPUT_RESEND_MAX_MS,
} from '../limits.ts';
import { inputPieces } from './input-pieces.ts';

export interface InputPiece {
  readonly inputSeq: number;
  readonly controlTerm: number;
  readonly data: string;
}

/** Why typed text did not arrive; `characters` is how many. */
export interface InputLoss {
  readonly characters: number;
  readonly reason: 'hole' | 'overflow' | 'not_controller' | 'not_running' | 'control_moved' | 'too_fast';
}

const charactersOf = (pieces: readonly InputPiece[]): number =>
  pieces.reduce((sum, piece) => sum + piece.data.length, 0);

export class InputSender {
  #term: number | null = null;
  #numberedTerm: number | null = null;
  #nextSeq = 1;
  #unacked: InputPiece[] = [];
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

  /** Pieces to send now; refuses, and says so, what would wait behind too much unacknowledged input. */
  type(text: string, nowMs: number): { send: InputPiece[]; loss: InputLoss | null } {
    if (this.#term === null) return { send: [], loss: { characters: text.length, reason: 'not_controller' } };
    const pieces = inputPieces(text);
    if (this.#unacked.length + pieces.length > INPUT_MAX_HELD_FRAMES) {
      return { send: [], loss: { characters: text.length, reason: 'too_fast' } };
    }
    const controlTerm = this.#term;
    const send = pieces.map((data) => ({ inputSeq: this.#nextSeq++, controlTerm, data }));
    if (this.#unacked.length === 0) {
      this.#resendDelayMs = INPUT_RESEND_FIRST_MS;
      this.#resendAtMs = nowMs + this.#resendDelayMs;
    }
    this.#unacked.push(...send);
    return { send, loss: null };
  }

  /** The runner delivered everything up to `inputSeq`. */
  acked(ack: { inputSeq: number; controlTerm: number }, nowMs: number): void {
    if (ack.controlTerm !== this.#term) return;
    const before = this.#unacked.length;
    this.#unacked = this.#unacked.filter((piece) => piece.inputSeq > ack.inputSeq);
    if (this.#unacked.length < before) this.#arm(nowMs);
  }

  /**
   * The runner discarded what came before `expected`, a number above everything it saw: typing goes on from there and the
   * person is told. Numbers never go back, so a late or repeated reset drops nothing typed after it.
   */
  reset(reset: { expected: number; controlTerm: number; reason: InputLoss['reason'] }): InputLoss | null {
    if (reset.controlTerm !== this.#term) return null;
    const lost = this.#unacked.filter((piece) => piece.inputSeq < reset.expected);
    this.#unacked = this.#unacked.slice(lost.length);
    this.#nextSeq = Math.max(this.#nextSeq, reset.expected);
    return lost.length === 0 ? null : { characters: charactersOf(lost), reason: reset.reason };
  }

  /** What has waited too long for its ack; call it every few hundred milliseconds while connected. */
  tick(nowMs: number): InputPiece[] {
    if (this.#unacked.length === 0 || this.#resendAtMs === null || nowMs < this.#resendAtMs) return [];
    this.#resendDelayMs = Math.min(INPUT_RESEND_MAX_MS, this.#resendDelayMs * 2);
    this.#resendAtMs = nowMs + this.#resendDelayMs;
    return this.#unacked.slice(0, INPUT_RESEND_MAX_FRAMES);
  }

  #arm(nowMs: number): void {
    this.#resendDelayMs = INPUT_RESEND_FIRST_MS;
    this.#resendAtMs = this.#unacked.length === 0 ? null : nowMs + this.#resendDelayMs;
  }

  #drop(reason: InputLoss['reason']): InputLoss | null {
    const characters = charactersOf(this.#unacked);
    this.#unacked = [];
    this.#resendAtMs = null;
    return characters === 0 ? null : { characters, reason };
  }
}
