/** From raw PTY bytes to text that may be stored and shown: well-formed, without hostile sequences, without known secrets. */
import { escapeFilter } from './escape-filter.ts';
import { type Redacted, redactor } from './redactor.ts';
import { utf8Decoder } from './utf8-decoder.ts';

/** Where a fresh pipeline may go on, counted back from the end of what was pushed and of what was emitted. */
export interface Reread {
  readonly rawBytes: number;
  readonly textBytes: number;
}

export interface TextPipeline {
  push(bytes: Uint8Array): Redacted;
  /** Decides what the redactor holds back (REDACTOR_HOLD_MS after the last output). */
  flush(): Redacted;
  /** The end of the stream. */
  end(): Redacted;
  /** Whether `flush` has something to decide. */
  readonly isUndecided: boolean;
  /**
   * Undefined where only this pipeline can go on. Inside an overlong sequence that is dropped a fresh one may go on: at
   * worst it shows the rest of it as text. After `flush` there always is a place, so that a program that waits for its
   * output to be taken goes on: where nothing better is known a fresh pipeline forgets there how a secret began.
   */
  readonly reread: Reread | undefined;
}

/** A pipeline for one stream, at its beginning or at a checkpoint. */
export const textPipeline = (secrets: readonly string[]): TextPipeline => {
  const [decoder, filter, masks] = [utf8Decoder(), escapeFilter(), redactor(secrets)];
  /** The last raw bytes, as many as the redactor's undecided text can stand for. */
  let rawTail: Buffer = Buffer.alloc(0);
  let isSilent = false;
  let isEnded = false;

  const keepTail = (bytes: Uint8Array): void => {
    const maxBytes = Buffer.byteLength(masks.undecided.text + filter.held) + decoder.heldBytes;
    const tail = bytes.length >= maxBytes ? Buffer.from(bytes) : Buffer.concat([rawTail, bytes]);
    rawTail = Buffer.from(tail.subarray(Math.max(0, tail.length - maxBytes)));
  };
  /** Undecided text and unfinished sequence as they stand at the end of the raw bytes; undefined where something was dropped inside. */
  const beforeUndecided = (): Reread | undefined => {
    const { text, emittedChars, isPlain } = masks.undecided;
    const raw = rawTail.subarray(0, rawTail.length - decoder.heldBytes);
    if (!isPlain || !raw.equals(Buffer.from(text + filter.held))) return undefined;
    return { rawBytes: rawTail.length, textBytes: emittedChars };
  };

  return {
    push(bytes) {
      const result = masks.push(filter.push(decoder.push(bytes)));
      keepTail(bytes);
      isSilent = false;
      return result;
    },
    flush() {
      isSilent = true;
      return masks.flush();
    },
    end() {
      const last = masks.push(filter.push(decoder.end()));
      filter.end();
      const held = masks.flush();
      isEnded = true;
      return { text: last.text + held.text, redactions: last.redactions + held.redactions };
    },
    get isUndecided() {
      return masks.undecided.text !== '';
    },
    get reread() {
      const atEnd = { rawBytes: decoder.heldBytes, textBytes: 0 };
      if (isEnded) return atEnd;
      return beforeUndecided() ?? (isSilent && filter.held === '' ? atEnd : undefined);
    },
  };
};
