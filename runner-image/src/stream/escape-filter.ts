/**
 * Drops what a program must not do to its watchers' terminals: write or read the clipboard (OSC 52), or make the terminal
 * type its title back (CSI 20 t, CSI 21 t). Sequences are held back until they are whole, so cuts hide nothing.
 */
import { CONTROL_HELD_MAX_CHARS } from '../../../shared/limits.ts';
import { endOfOpen, groundEnd, type OpenKind, openAtEnd } from './control-sequences.ts';

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: control characters are what this module is about.
const C0 = '[\\x00-\\x06\\x08-\\x17\\x19\\x1c-\\x1f]*';
const C0_DEL = '[\\x00-\\x17\\x19\\x1c-\\x1f\\x7f]*';
/** The number may be written with leading zeros and with controls in between: the parser ignores them. */
const CLIPBOARD_HEAD = `(?:\\x1b${C0_DEL}\\]|\\x9d)${C0}(?:0${C0})*5${C0}2${C0}`;
const TITLE_REPORT = `(?:\\x1b${C0_DEL}\\[|\\x9b)${C0_DEL}(?:0${C0_DEL})*2${C0_DEL}[01](?![0-9])[\\x00-\\x17\\x19\\x1c-\\x3f\\x7f]*t`;
const DROPPED = new RegExp(
  `${CLIPBOARD_HEAD}(?![0-9\\x00-\\x06\\x08-\\x17\\x19\\x1c-\\x1f])[^\\x07\\x18\\x1a\\x1b\\x80-\\x9f]*(?:[\\x07\\x18\\x1a\\x9c]|\\x1b\\\\)?|${TITLE_REPORT}`,
  'g',
);
/** An OSC whose number is known, and is another one. */
const HARMLESS_OSC = new RegExp(
  `^(?!${CLIPBOARD_HEAD}(?:[;]|$))(?:\\x1b${C0_DEL}\\]|\\x9d)${C0}[0-9\\x00-\\x1f]*[^0-9\\x00-\\x1f]`,
);
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: see above.

/** `pass`: between sequences; `open`: inside a long harmless string; `drop`: inside a sequence that is thrown away. */
type Mode = { readonly name: 'pass' } | { readonly name: 'open' | 'drop'; readonly kind: OpenKind };
const PASS: Mode = { name: 'pass' };

export interface EscapeFilter {
  /** The text without the dropped sequences, up to the last sequence that is whole. */
  push(text: string): string;
  /** Forgets an unfinished sequence: no terminal would show it. */
  end(): void;
  /** The unfinished sequence that is held back. */
  readonly held: string;
  /** Sequences dropped so far. */
  readonly dropped: number;
}

/** What to do with an unfinished sequence that has become too long to hold: `before` it stand ones that it broke off. */
const tooLong = (held: string): { before: string; emit: string; mode: Mode } => {
  const open = openAtEnd(held);
  // Nothing but ESC and controls: not a sequence anybody writes.
  if (open === undefined) return { before: '', emit: '', mode: PASS };
  const { kind, start } = open;
  const sequence = held.slice(start);
  const isHarmless = kind === 'string' || (kind === 'osc' && HARMLESS_OSC.test(sequence));
  const emit = isHarmless ? sequence : '';
  return { before: held.slice(0, start), emit, mode: { name: isHarmless ? 'open' : 'drop', kind } };
};

/** A filter for one stream; its output does not depend on how the stream is cut, for sequences up to CONTROL_HELD_MAX_CHARS. */
export const escapeFilter = (): EscapeFilter => {
  let held = '';
  let mode: Mode = PASS;
  let dropped = 0;
  const drop = (): string => {
    dropped += 1;
    return '';
  };

  /** Leaves an open sequence; returns how much of `text` belonged to it. */
  const leave = (text: string, kind: OpenKind): number => {
    const end = endOfOpen(text, 0, kind);
    if (end === -1) return text.length;
    // ESC \ ends it as a whole; ESC alone at the end of the text waits for what follows.
    if (text.charCodeAt(end) === 0x1b && kind !== 'csi') {
      if (end + 1 === text.length) return -end - 1;
      mode = PASS;
      return text.charAt(end + 1) === '\\' ? end + 2 : end;
    }
    mode = PASS;
    return end;
  };

  /** Reads on inside an open sequence; `rest` is undefined while it does not end. */
  const readOn = (text: string, inside: Exclude<Mode, { name: 'pass' }>): { out: string; rest: string | undefined } => {
    const belonged = leave(text, inside.kind);
    const taken = belonged < 0 ? -belonged - 1 : belonged;
    const out = inside.name === 'open' ? text.slice(0, taken) : '';
    if (mode === PASS) return { out, rest: text.slice(taken) };
    held = text.slice(taken);
    return { out, rest: undefined };
  };

  const push = (text: string): string => {
    let all = held + text;
    held = '';
    let out = '';
    if (mode.name !== 'pass') {
      const inside = readOn(all, mode);
      if (inside.rest === undefined) return inside.out;
      out = inside.out;
      all = inside.rest;
    }
    const end = groundEnd(all);
    held = all.slice(end);
    out += all.slice(0, end).replace(DROPPED, drop);
    if (held.length <= CONTROL_HELD_MAX_CHARS) return out;
    // An ESC at the very end may belong to the terminator, and is read with what follows.
    const escapes = held.endsWith('\x1b') ? 1 : 0;
    const decision = tooLong(held.slice(0, held.length - escapes));
    held = held.slice(held.length - escapes);
    mode = decision.mode;
    if (mode.name !== 'open') dropped += 1;
    return out + decision.before.replace(DROPPED, drop) + decision.emit;
  };

  return {
    push,
    end() {
      held = '';
      mode = PASS;
    },
    get held() {
      return held;
    },
    get dropped() {
      return dropped;
    },
  };
};
