/**
 * Input of API calls: each stands for itself, and its caller waits for the answer and posts it again until then. Typed once each, in the
 * order in which they come; an answer once given is the answer to whatever is posted again. Pure.
 */
import { z } from 'zod';
import { API_INPUT_REMEMBERED } from '../../../shared/limits.ts';
import type { InputFrame, InputReply } from './input-order.ts';

const Known = z.enum(['taken', 'refused']);
/** The latest numbers that were answered, for after a crash. */
export const SavedApiInput = z.array(z.tuple([z.int().min(1), Known])).max(API_INPUT_REMEMBERED);
export type SavedApiInput = z.infer<typeof SavedApiInput>;

/** Why it cannot be taken now; `null`: it can. */
export type ApiRefusal = 'not_running' | 'overflow' | null;
/** `wait`: it is being typed, and answered after that. */
export type ApiOffer = { readonly kind: 'take' } | { readonly kind: 'wait' } | InputReply;

export class ApiInput {
  readonly #known: Map<number, 'typing' | 'taken' | 'refused'>;

  constructor(saved: SavedApiInput = []) {
    this.#known = new Map(saved);
  }

  /** What is being typed is not in it: after a crash the terminal says whether it got it. */
  saved(): SavedApiInput {
    return [...this.#known].flatMap(([inputSeq, known]) => (known === 'typing' ? [] : [[inputSeq, known]]));
  }

  /** To be answered by `typed`, or by `settle` at once where it is kept before it is typed. */
  offer(frame: InputFrame, refusal: ApiRefusal): ApiOffer {
    const known = this.#known.get(frame.inputSeq);
    if (known === 'typing') return { kind: 'wait' };
    if (known !== undefined) return this.#reply(frame, known);
    // Older than all that are remembered: nobody knows whether it was typed, and nobody waits for it any more.
    const isForgotten = this.#known.size >= API_INPUT_REMEMBERED && frame.inputSeq < Math.min(...this.#known.keys());
    if (isForgotten) return resetOf(frame, 'overflow');
    if (refusal !== null) {
      this.#note(frame.inputSeq, 'refused');
      return resetOf(frame, refusal);
    }
    this.#note(frame.inputSeq, 'typing');
    return { kind: 'take' };
  }

  settle(frame: InputFrame, answer: 'taken' | 'refused'): InputReply {
    this.#note(frame.inputSeq, answer);
    return this.#reply(frame, answer);
  }

  /** After a crash: the terminal itself says that it got this one. */
  written(inputSeq: number): void {
    this.#note(inputSeq, 'taken');
  }

  #reply(frame: InputFrame, answer: 'taken' | 'refused'): InputReply {
    const { viewerId, controlTerm, inputSeq } = frame;
    return answer === 'taken' ? { kind: 'ack', viewerId, controlTerm, inputSeq } : resetOf(frame, 'not_running');
  }

  #note(inputSeq: number, known: 'typing' | 'taken' | 'refused'): void {
    this.#known.set(inputSeq, known);
    if (this.#known.size > API_INPUT_REMEMBERED) this.#known.delete(Math.min(...this.#known.keys()));
  }
}

const resetOf = ({ viewerId, controlTerm, inputSeq }: InputFrame, reason: 'not_running' | 'overflow'): InputReply => ({
  kind: 'reset',
  viewerId,
  controlTerm,
  expected: inputSeq,
  reason,
});
