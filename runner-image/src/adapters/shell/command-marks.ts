/** Bash reports each finished command by a mark that terminals do not show. A program can forge one: it is a hint, never evidence. */

/** Before each prompt: exit code and the last history line without control characters, so that nothing in it can end the mark. */
export const PROMPT_COMMAND = `__v=$?; __h=$(HISTTIMEFORMAT= builtin history 1); [ "$__h" = "$__p" ] || printf '\\033]633;V;%s;%s\\007' "$__v" "\${__h//[[:cntrl:]]/ }"; __p=$__h`;

const OPEN = '\x1b]633;V;';
const CLOSE = '\x07';
/** A mark longer than this is dropped. */
const MARK_MAX_CHARS = 8_192;
const COMMAND_MAX_CHARS = 2_000;

function report(mark: string, onCommand: (exitCode: number, command: string) => void): void {
  const [, code, line] = /^(\d{1,3});([\s\S]*)$/.exec(mark) ?? [];
  if (code === undefined || line === undefined) return;
  const command = line.replace(/^\s*\d+\*?\s+/, '');
  if (command !== '') onCommand(Number(code), command.slice(0, COMMAND_MAX_CHARS));
}

/** Takes output in any pieces and calls back for each whole mark. */
export function commandMarks(onCommand: (exitCode: number, command: string) => void): (text: string) => void {
  let kept = '';
  return (text) => {
    kept += text;
    for (;;) {
      const open = kept.indexOf(OPEN);
      if (open === -1) {
        // The beginning of a mark may be cut off at the end of this piece.
        kept = kept.slice(-(OPEN.length - 1));
        return;
      }
      const close = kept.indexOf(CLOSE, open);
      if (close === -1) {
        kept = kept.length - open > MARK_MAX_CHARS ? '' : kept.slice(open);
        return;
      }
      report(kept.slice(open + OPEN.length, close), onCommand);
      kept = kept.slice(close + 1);
    }
  };
}
