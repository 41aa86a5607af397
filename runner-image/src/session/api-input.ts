/**
 * Input of API calls: each stands for itself, and its caller waits for the answer and posts it again until then. Typed once each, in the
 * order in which they come. Pure.
 */
import { z } from 'zod';
import { API_INPUT_REMEMBERED } from '../../../shared/limits.ts';
import type { InputFrame, InputOutcome, InputReply } from './input-order.ts';

/** Numbers of the latest that were taken, for after a crash. */
export const SavedApiInput = z.array(z.int().min(1)).max(API_INPUT_REMEMBERED);

export class ApiInput {
  readonly #taken: Set<number>;

  constructor(taken: readonly number[] = []) {
    this.#taken = new Set(taken);
  }

  saved(): number[] {
    return [...this.#taken];
  }

  /** After a crash: the terminal itself says that it got this one. */
  written(inputSeq: number): void {
    this.#take(inputSeq);
  }

  /** `isRunning` is false while there is nothing to type into: that is said, and the number is not used up. */
  offer(frame: InputFrame, isRunning: boolean): InputOutcome {
    const { viewerId, controlTerm, inputSeq } = frame;
    const ack: InputReply = { kind: 'ack', viewerId, controlTerm, inputSeq };
    if (this.#taken.has(inputSeq)) return { deliver: [], replies: [ack] };
    const refused = (reason: 'not_running' | 'overflow'): InputOutcome => ({
      deliver: [],
      replies: [{ kind: 'reset', viewerId, controlTerm, expected: inputSeq, reason }],
    });
    // Older than all that are remembered: nobody knows whether it was typed, and nobody waits for it any more.
    if (this.#taken.size >= API_INPUT_REMEMBERED && inputSeq < Math.min(...this.#taken)) return refused('overflow');
    if (!isRunning) return refused('not_running');
    this.#take(inputSeq);
    return { deliver: [frame], replies: [ack] };
  }

  #take(inputSeq: number): void {
    this.#taken.add(inputSeq);
    if (this.#taken.size > API_INPUT_REMEMBERED) this.#taken.delete(Math.min(...this.#taken));
  }
}
