/** From raw PTY bytes to text that may be stored and shown: well-formed, without hostile sequences, without known secrets. */
import { escapeFilter } from './escape-filter.ts';
import { type Redacted, redactor } from './redactor.ts';
import { utf8Decoder } from './utf8-decoder.ts';

export interface TextPipeline {
  push(bytes: Uint8Array): Redacted;
  /** Decides what the redactor holds back (REDACTOR_HOLD_MS after the last output). */
  flush(): Redacted;
  /** The end of the stream. */
  end(): Redacted;
  /** Whether `flush` has something to decide. */
  readonly isHolding: boolean;
  /**
   * Raw bytes that a fresh pipeline would have to read again, or undefined where only this one can go on. Inside an
   * overlong sequence that is dropped a fresh one may go on: at worst it shows the rest of it as text.
   */
  readonly rereadBytes: number | undefined;
}

/** A pipeline for one stream, at its beginning or at a checkpoint. */
export const textPipeline = (secrets: readonly string[]): TextPipeline => {
  const [decoder, filter, masks] = [utf8Decoder(), escapeFilter(), redactor(secrets)];
  return {
    push: (bytes) => masks.push(filter.push(decoder.push(bytes))),
    flush: () => masks.flush(),
    end() {
      const last = masks.push(filter.push(decoder.end()));
      filter.end();
      const held = masks.flush();
      return { text: last.text + held.text, redactions: last.redactions + held.redactions };
    },
    get isHolding() {
      return masks.heldChars > 0;
    },
    get rereadBytes() {
      return masks.heldChars > 0 || filter.heldChars > 0 ? undefined : decoder.heldBytes;
    },
  };
};
