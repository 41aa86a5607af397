/** Where control sequences begin and end, as xterm.js's parser (VT500) sees it: filter and screen model must agree with it. */

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: control characters are what this module is about.
/** ESC or a C1 control that begins a sequence: both do so in every state of the parser. */
const INTRODUCER = /[\x1b\x90\x98\x9b\x9d-\x9f]/;
const C1_INTRODUCER = /[\x90\x98\x9b\x9d-\x9f]/;
/** Within ESC and CSI, C0 controls act at once and the sequence goes on. */
const ESCAPE_HEAD = /\x1b[\x00-\x17\x19\x1c-\x1f\x7f]*/y;
const CSI_END = /[\x00-\x17\x19\x1c-\x3f\x7f]*[^\x00-\x17\x19\x1c-\x3f\x7f]/y;
const ESCAPE_END = /[\x00-\x17\x19\x1c-\x2f\x7f]*[^\x00-\x17\x19\x1c-\x2f\x7f]/y;
const OSC_END = /[\x07\x18\x1a\x1b\x80-\x9f]/g;
const STRING_END = /[\x18\x1a\x1b\x80-\x9f]/g;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: see above.

/** Whether the character begins a sequence, whatever the parser was doing. */
export const isIntroducer = (character: string): boolean => INTRODUCER.test(character);

export type OpenKind = 'csi' | 'osc' | 'string';

const lastIntroducer = (text: string, before: number): number => {
  if (before <= 0) return -1;
  const escapeAt = text.lastIndexOf('\x1b', before - 1);
  if (!C1_INTRODUCER.test(text)) return escapeAt;
  for (let at = before - 1; at > escapeAt; at -= 1) if (C1_INTRODUCER.test(text.charAt(at))) return at;
  return escapeAt;
};

const matchEnd = (pattern: RegExp, text: string, from: number): number => {
  pattern.lastIndex = from;
  return pattern.test(text) ? pattern.lastIndex : -1;
};

/** Index after the end of an open sequence of `kind` whose content starts at `from`; −1 when it does not end. ESC and C1 are left to be read again. */
export const endOfOpen = (text: string, from: number, kind: OpenKind): number => {
  if (kind === 'csi') return matchEnd(CSI_END, text, from);
  const end = matchEnd(kind === 'osc' ? OSC_END : STRING_END, text, from);
  if (end === -1) return -1;
  const code = text.charCodeAt(end - 1);
  const isReadAgain = code === 0x1b || (code >= 0x80 && code !== 0x9c);
  return isReadAgain ? end - 1 : end;
};

/** What the introducer at `start` opens, and where its content begins; undefined when that is not known yet. */
const openedAt = (text: string, start: number): { kind: OpenKind | 'escape'; content: number } | undefined => {
  const code = text.charCodeAt(start);
  if (code === 0x9b) return { kind: 'csi', content: start + 1 };
  if (code === 0x9d) return { kind: 'osc', content: start + 1 };
  if (code !== 0x1b) return { kind: 'string', content: start + 1 };
  const head = matchEnd(ESCAPE_HEAD, text, start);
  const next = text.charAt(head);
  if (next === '') return undefined;
  if (next === '[') return { kind: 'csi', content: head + 1 };
  if (next === ']') return { kind: 'osc', content: head + 1 };
  return 'PX^_'.includes(next) ? { kind: 'string', content: head + 1 } : { kind: 'escape', content: head };
};

const isComplete = (text: string, start: number, before: number): boolean => {
  const opened = openedAt(text, start);
  if (opened === undefined || opened.content > before) return false;
  const end =
    opened.kind === 'escape'
      ? matchEnd(ESCAPE_END, text, opened.content)
      : endOfOpen(text, opened.content, opened.kind);
  if (end === -1 || end > before) return false;
  // A string that the next introducer breaks off is not over before it: an ESC may be half of its terminator.
  return !(end === before && isIntroducer(text.charAt(before)) && opened.kind !== 'csi' && opened.kind !== 'escape');
};

/**
 * Where the parser leaves ground for the last time without coming back by the end of `text`, given that it starts at
 * ground; the length of `text` when it ends at ground. Looks backwards: nearly always only the last sequence is read.
 */
export const groundEnd = (text: string): number => {
  let from = text.length;
  for (let start = lastIntroducer(text, from); start !== -1; start = lastIntroducer(text, from)) {
    if (isComplete(text, start, from)) return from;
    from = start;
  }
  return from;
};

/** The sequence that is still open at the end of `text`, which does not end at ground; undefined while it is undecided. */
export const openAtEnd = (text: string): { kind: OpenKind; start: number } | undefined => {
  for (let start = lastIntroducer(text, text.length); start !== -1; start = lastIntroducer(text, start)) {
    const opened = openedAt(text, start);
    if (opened !== undefined && opened.kind !== 'escape') return { kind: opened.kind, start };
    // A lone ESC may be half of a terminator: then what it ends is still open.
    if (opened !== undefined) return undefined;
  }
  return undefined;
};
