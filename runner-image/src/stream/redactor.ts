/**
 * The first redactor: the session's own known secrets never leave it, wherever the stream is cut. What it admits: of a
 * secret that arrives in pieces, at most its first REDACTOR_SHOWN_PREFIX_MAX_CHARS − 1 characters are shown, because an
 * echoed keystroke that happens to begin a secret must not wait; they are remembered, and all that follows is masked.
 */
import {
  REDACTOR_SHOWN_PREFIX_MAX_CHARS,
  SECRET_MAX_CHARS,
  SECRET_MIN_CHARS,
  SECRETS_MAX,
} from '../../../shared/limits.ts';
import { cellWidth } from './cell-width.ts';

export interface Redacted {
  readonly text: string;
  /** Occurrences that were masked; overlapping ones count once. */
  readonly redactions: number;
}

/** The undecided end of the stream: a later redactor that reads it again decides like this one. */
export interface Undecided {
  readonly text: string;
  /** Its first characters that are emitted already, shown or masked. */
  readonly emittedChars: number;
  /**
   * Whether it alone says what becomes of it, with one byte per character: not where a secret that began before it
   * reaches into it, nor beyond ASCII, where a mask has another length.
   */
  readonly isPlain: boolean;
}

export interface Redactor {
  /**
   * The text that can be decided, and a short beginning of a secret at its end; a longer one (up to k − 1 characters)
   * is held back.
   */
  push(text: string): Redacted;
  /**
   * To be called after REDACTOR_HOLD_MS without output, and at the end: what is held back is masked, which is the safe
   * direction, and remembered like what was shown: the rest of the secret is masked when it comes.
   */
  flush(): Redacted;
  readonly undecided: Undecided;
  /** Characters held back and not emitted yet. */
  readonly heldChars: number;
}

const CONTROL = /\p{Cc}/u;
/** Same width on the screen; line ends inside a secret stay, they are layout. */
const mask = (text: string): string => {
  let masked = '';
  for (const character of text) masked += CONTROL.test(character) ? character : '*'.repeat(cellWidth(character));
  return masked;
};

/** Checked and completed: a terminal shows LF as CR LF. Throws on one that is too short, too long, or too many. */
const prepare = (secrets: readonly string[]): string[] => {
  const all = new Set<string>();
  for (const secret of secrets) {
    if (secret.length < SECRET_MIN_CHARS || secret.length > SECRET_MAX_CHARS)
      throw new Error(`a secret must have ${SECRET_MIN_CHARS} to ${SECRET_MAX_CHARS} characters`);
    all.add(secret);
    all.add(secret.replaceAll(/\r?\n/g, '\r\n'));
  }
  if (all.size > SECRETS_MAX) throw new Error(`more than ${SECRETS_MAX} secrets`);
  return [...all];
};

/** Where the longest end of `text` begins that is a proper beginning of a secret; the length of `text` if none is. */
const undecidedFrom = (text: string, secrets: readonly string[]): number => {
  let from = text.length;
  for (const secret of secrets) {
    let at = text.indexOf(secret.charAt(0), Math.max(0, text.length - secret.length + 1));
    while (at !== -1 && at < from) {
      if (secret.startsWith(text.slice(at))) from = at;
      at = text.indexOf(secret.charAt(0), at + 1);
    }
  }
  return from;
};

type Interval = { from: number; to: number };

/** All occurrences and what `begun` covers, overlapping ones merged, in order. */
const findAll = (text: string, secrets: readonly string[], begun: readonly Interval[]): Interval[] => {
  const found: Interval[] = [...begun];
  for (const secret of secrets)
    for (let at = text.indexOf(secret); at !== -1; at = text.indexOf(secret, at + 1))
      found.push({ from: at, to: at + secret.length });
  found.sort((one, other) => one.from - other.from);
  const merged: Interval[] = [];
  for (const interval of found) {
    const last = merged.at(-1);
    if (last !== undefined && interval.from < last.to) last.to = Math.max(last.to, interval.to);
    else merged.push(interval);
  }
  return merged;
};

/** A redactor for one stream. How the stream is cut decides only whether a secret's first characters are masked or shown. */
export const redactor = (known: readonly string[]): Redactor => {
  const secrets = prepare(known);
  /**
   * The undecided end of the stream: its first `shown` characters are emitted already, its first `masked` belong to a
   * secret, and a secret that begins in its first `counted` was counted when silence masked it.
   */
  let held = '';
  let shown = 0;
  let masked = 0;
  let counted = 0;

  const emit = (text: string, decided: number, intervals: readonly Interval[]): Redacted => {
    const to = Math.max(decided, shown);
    let out = '';
    let at = shown;
    let redactions = 0;
    for (const { from, to: end } of intervals) {
      if (end <= at || from >= to) continue;
      if (from > at) out += text.slice(at, from);
      out += mask(text.slice(Math.max(from, at), Math.min(end, to)));
      at = Math.min(end, to);
      // An interval is counted where it begins; what an earlier push began was counted there.
      if (from >= counted && from < decided) redactions += 1;
    }
    if (at < to) out += text.slice(at, to);
    return { text: out, redactions };
  };
  /** The rest of `held`, masked as far as it belongs to a secret, or as a whole. */
  const show = (maskedTo: number): string => {
    const rest = held.slice(shown);
    const covered = Math.max(0, maskedTo - shown);
    shown = held.length;
    return mask(rest.slice(0, covered)) + rest.slice(covered);
  };

  return {
    get heldChars() {
      return held.length - shown;
    },
    get undecided() {
      return { text: held, emittedChars: shown, isPlain: masked === 0 && Buffer.byteLength(held) === held.length };
    },
    push(text) {
      if (secrets.length === 0 || text === '') return { text, redactions: 0 };
      const all = held + text;
      const decided = undecidedFrom(all, secrets);
      // The rest of a secret that began before `held`; its −1 marks it as counted.
      const intervals = findAll(all, secrets, masked > 0 ? [{ from: -1, to: masked }] : []);
      const result = emit(all, decided, intervals);
      const reach = intervals.findLast(({ from }) => from < decided)?.to ?? 0;
      held = all.slice(decided);
      masked = Math.max(0, Math.min(reach, all.length) - decided);
      counted = Math.max(0, counted - decided);
      shown = Math.max(0, shown - decided);
      if (held.length >= REDACTOR_SHOWN_PREFIX_MAX_CHARS) return result;
      return { ...result, text: result.text + show(masked) };
    },
    flush() {
      if (held.length === shown) return { text: '', redactions: 0 };
      const redactions = counted === 0 ? 1 : 0;
      counted = held.length;
      return { text: show(held.length), redactions };
    },
  };
};
