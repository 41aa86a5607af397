/** Bash reports each finished command by a mark that terminals do not show. A program can forge one: it is a hint, never evidence. */

/** Before each prompt: exit code and the last history line without control characters, so that nothing in it can end the mark. */
export const PROMPT_COMMAND = `__v=$?; __h=$(HISTTIMEFORMAT= builtin history 1); [ "$__h" = "$__p" ] || printf '\\033]633;V;%s;%s\\007' "$__v" "\${__h//[[:cntrl:]]/ }"; __p=$__h`;

const OPEN = '\x1b]633;V;';
const CLOSE = '\x07';
/** A mark of more bytes than this is dropped. */
const MARK_MAX_BYTES = 8_192;
const COMMAND_MAX_CHARS = 2_000;

export interface ReportedCommand {
  readonly exitCode: number;
  readonly command: string;
  /** Raw offset behind its mark. */
  readonly endOffset: number;
}

/** `mark` has one character for each byte. */
function commandOf(mark: string): Omit<ReportedCommand, 'endOffset'> | undefined {
  const [, code, line] = /^(\d{1,3});([\s\S]*)$/.exec(Buffer.from(mark, 'latin1').toString('utf8')) ?? [];
  if (code === undefined || line === undefined) return undefined;
  const command = line.replace(/^\s*\d+\*?\s+/, '').slice(0, COMMAND_MAX_CHARS);
  return command === '' ? undefined : { exitCode: Number(code), command };
}

/**
 * Takes raw output in any pieces and calls back for each whole mark that ends behind `fromOffset`: after a crash of the runner some
 * output comes again. A mark whose beginning was read before the crash alone is missed; its program is not.
 */
export function commandMarks(
  onCommand: (reported: ReportedCommand) => void,
  fromOffset = 0,
): (bytes: Buffer, rawOffset: number) => void {
  let kept = '';
  let endOffset = 0;
  const drop = (count: number): void => {
    kept = kept.slice(count);
  };
  return (bytes, rawOffset) => {
    if (rawOffset !== endOffset) kept = '';
    endOffset = rawOffset + bytes.length;
    // No byte of these marks occurs inside a character of more bytes: one character a byte keeps the offsets.
    kept += bytes.toString('latin1');
    for (;;) {
      const open = kept.indexOf(OPEN);
      if (open === -1) {
        // The beginning of a mark may be cut off at the end of this piece.
        kept = kept.slice(-(OPEN.length - 1));
        return;
      }
      const close = kept.indexOf(CLOSE, open);
      if (close === -1) {
        if (kept.length - open > MARK_MAX_BYTES) kept = '';
        else drop(open);
        return;
      }
      const found = commandOf(kept.slice(open + OPEN.length, close));
      drop(close + 1);
      const markEnd = endOffset - kept.length;
      if (found !== undefined && markEnd > fromOffset) onCommand({ ...found, endOffset: markEnd });
    }
  };
}
