/** Numbers what a person types and keeps it until the runner has it: a cut connection neither loses nor doubles a key. */
import { INPUT_MAX_BYTES, INPUT_MAX_HELD_FRAMES } from '../../shared/limits.ts';

export interface InputFrame {
  readonly controlTerm: number;
  readonly inputSeq: number;
  readonly data: string;
}

/** Pieces of at most `maxBytes` as JSON (the frame is what is bounded, and a control key takes six bytes there), no character cut. */
export const splitInput = (data: string, maxBytes = INPUT_MAX_BYTES): string[] => {
  const pieces: string[] = [];
  let piece = '';
  let size = 0;
  for (const character of data) {
    const bytes = Buffer.byteLength(JSON.stringify(character)) - 2;
    if (size + bytes > maxBytes) {
      pieces.push(piece);
      piece = '';
      size = 0;
    }
    piece += character;
    size += bytes;
  }
  return piece === '' ? pieces : [...pieces, piece];
};

export class InputQueue {
  #term = 0;
  #nextSeq = 1;
  #unacked: InputFrame[] = [];
  /** Where the last reset of this term told us to go on: its repeats must not void what was typed since. */
  #resumedAt = 0;

  get term(): number {
    return this.#term;
  }

  /** Frames to send now; empty, with nothing taken, when too much waits unacknowledged. */
  push(data: string): readonly InputFrame[] {
    const pieces = splitInput(data);
    if (this.#unacked.length + pieces.length > INPUT_MAX_HELD_FRAMES) return [];
    const frames = pieces.map((piece) => ({ controlTerm: this.#term, inputSeq: this.#nextSeq++, data: piece }));
    this.#unacked.push(...frames);
    return frames;
  }

  /**
   * A (re)attach: within the same control term the unacknowledged frames go again, in another they are void.
   * @returns what to resend, and how many frames were given up.
   */
  attached(controlTerm: number): { resend: readonly InputFrame[]; lost: number } {
    if (controlTerm === this.#term) return { resend: [...this.#unacked], lost: 0 };
    const lost = this.#unacked.length;
    this.#term = controlTerm;
    this.#unacked = [];
    this.#nextSeq = 1;
    this.#resumedAt = 0;
    return { resend: [], lost };
  }

  acked(controlTerm: number, inputSeq: number): void {
    if (controlTerm !== this.#term) return;
    this.#unacked = this.#unacked.filter((frame) => frame.inputSeq > inputSeq);
  }

  /** The runner discarded input: numbering goes on at `expected`. Returns how many frames were lost. */
  reset(controlTerm: number, expected: number): number {
    if (controlTerm !== this.#term || expected <= this.#resumedAt) return 0;
    this.#resumedAt = expected;
    const lost = this.#unacked.length;
    this.#unacked = [];
    this.#nextSeq = expected;
    return lost;
  }
}
