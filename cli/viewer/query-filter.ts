/**
 * Takes terminal queries (device attributes, cursor reports, colours…) out of what a real terminal gets: it would answer into the
 * session, where the runner's screen model has answered already (protocol.md, Terminal).
 */

const ESC = '\x1b';
const BELL = '\x07';
const CSI = String.raw`${ESC}\[`;
const STRING_END = String.raw`(?:${BELL}|${ESC}\\)`;
const QUERIES = [
  // Device attributes, status and cursor reports, version, keyboard protocol, mode reports, window reports.
  `${CSI}[?>=]?[0-9;]*c`,
  String.raw`${CSI}\??[0-9;]*n`,
  `${CSI}>[0-9;]*q`,
  String.raw`${CSI}\?u`,
  String.raw`${CSI}\??[0-9;]*\$p`,
  `${CSI}(?:1[1345689]|2[01])t`,
  // DECRQSS and XTGETTCAP; colours (OSC 4, 10, 11, 12…) and clipboard (52) when asked with "?".
  String.raw`${ESC}P[$+]q[^${ESC}]*${ESC}\\`,
  String.raw`${ESC}\][0-9;]*(?:;[^${BELL}${ESC}]*)?\?${STRING_END}`,
];
const QUERY = new RegExp(QUERIES.join('|'), 'g');
/** A sequence that is not complete yet, at the end of the text. */
const OPEN_END = new RegExp(String.raw`${ESC}(?:\[[0-9;?>=$]*|[P\]][^${BELL}${ESC}]*${ESC}?)?$`);
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
