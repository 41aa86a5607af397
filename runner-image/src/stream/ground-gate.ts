/** Lets the stream through to a parser so that it is at ground after each piece: only there a snapshot is true. */
import { CONTROL_HELD_MAX_CHARS } from '../../../shared/limits.ts';
import { endOfOpen, groundEnd, isIntroducer, type OpenKind, openAtEnd } from './control-sequences.ts';

export interface GroundGate {
  /** The unfinished sequence that waits for the rest. */
  readonly held: string;
  /** False only inside a control string that is too long to hold. */
  readonly isAtGround: boolean;
  push(text: string): string;
}

/** A gate for one stream, at ground. */
export const groundGate = (): GroundGate => {
  let held = '';
  let open: OpenKind | undefined;
  /** What was let through ends inside a string whose terminator has been seen but not let through yet. */
  let isDangling = false;

  /** Reads on inside an open string; returns how much of `text` belongs to it. */
  const readOpen = (text: string, kind: OpenKind): number => {
    const end = endOfOpen(text, 0, kind);
    if (end === -1) return text.length;
    open = undefined;
    // ESC and C1 controls end it as well, but are read as the beginning of what follows.
    isDangling = end < text.length && isIntroducer(text.charAt(end));
    return end;
  };

  return {
    get held() {
      return held;
    },
    get isAtGround() {
      return open === undefined && !isDangling;
    },
    push(text) {
      let all = held + text;
      let through = '';
      held = '';
      if (open !== undefined) {
        const belonging = readOpen(all, open);
        through = all.slice(0, belonging);
        all = all.slice(belonging);
        if (all === '') return through;
      }
      const end = groundEnd(all);
      if (end > 0) isDangling = false;
      through += all.slice(0, end);
      held = all.slice(end);
      if (held.length <= CONTROL_HELD_MAX_CHARS) return through;
      open = openAtEnd(held)?.kind;
      if (open === undefined) return through;
      isDangling = false;
      // An ESC at the very end may belong to the terminator, and is read with what follows.
      const whole = held.endsWith('\x1b') ? held.slice(0, -1) : held;
      through += whole;
      held = held.slice(whole.length);
      return through;
    },
  };
};
