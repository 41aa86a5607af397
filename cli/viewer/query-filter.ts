/**
 * Takes terminal queries (device attributes, cursor reports, colours…) out of what a real terminal gets: it would answer into the
 * session, where the runner's screen model has answered already (protocol.md, Terminal).
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are made of them.
const QUERY =
  /\x1b\[[?>=]?[0-9;]*c|\x1b\[\??[0-9;]*n|\x1b\[>[0-9;]*q|\x1b\[\?u|\x1b\[\??[0-9;]*\$p|\x1b\[(?:1[1345689]|2[01])t|\x1bP[$+]q[^\x1b]*\x1b\\|\x1b\][0-9;]*(?:;[^\x07\x1b]*)?\?(?:\x07|\x1b\\)/g;
/** A sequence that is not complete yet, at the end of the text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are made of them.
const OPEN_END = /\x1b(?:\[[0-9;?>=$]*|[P\]][^\x07\x1b]*\x1b?)?$/;
/** An unfinished sequence longer than this is passed on as it is. */
const HELD_MAX_CHARS = 4_096;

/** A filter with memory: a sequence cut by the frames is held back until its end comes. */
export const createQueryFilter = (): ((data: string) => string) => {
  let held = '';
  return (data) => {
    const text = held + data;
    const open = OPEN_END.exec(text);
    held = open !== null && open[0].length <= HELD_MAX_CHARS ? open[0] : '';
    return text.slice(0, text.length - held.length).replace(QUERY, '');
  };
};
