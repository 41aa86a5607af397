/**
 * What a terminal would answer into the session. The runner's screen model has answered already (protocol.md, Terminal), so
 * no viewer may. Sources: xterm's ctlseqs, kitty's keyboard and graphics protocols, iTerm2's OSC 1337.
 */

/** A control sequence's function as ECMA-48 names it: `CSI <prefix> params <intermediates> <final>`. */
export interface FunctionId {
  readonly prefix?: string;
  readonly intermediates?: string;
  readonly final: string;
}

/** Of the window operations (`t`) only the reports answer; the others move, or save and restore titles. */
const isWindowReport = (first: number): boolean => first >= 11 && first <= 21;

export interface CsiQuery extends FunctionId {
  /** Whether the function with this first parameter asks; always, where it is left out. */
  readonly asks?: (firstParameter: number) => boolean;
}

export const CSI_QUERIES: readonly CsiQuery[] = [
  // Device attributes, in three generations.
  { final: 'c' },
  { prefix: '>', final: 'c' },
  { prefix: '=', final: 'c' },
  // Status and cursor reports.
  { final: 'n' },
  { prefix: '?', final: 'n' },
  // Mode reports.
  { intermediates: '$', final: 'p' },
  { prefix: '?', intermediates: '$', final: 'p' },
  { final: 't', asks: isWindowReport },
  // Terminal parameters, presentation state, preferred character set, checksum of an area, locator.
  { final: 'x' },
  { intermediates: '$', final: 'w' },
  { intermediates: '&', final: 'u' },
  { intermediates: '*', final: 'y' },
  { intermediates: "'", final: '|' },
  // Version, keyboard protocols, graphics attributes, colour and style reports.
  { prefix: '>', final: 'q' },
  { prefix: '?', final: 'u' },
  { prefix: '?', final: 'm' },
  { prefix: '?', final: 'S' },
  { intermediates: '#', final: 'R' },
  { intermediates: '#', final: '|' },
];

/** DECRQSS and XTGETTCAP. */
export const DCS_QUERIES: readonly FunctionId[] = [
  { intermediates: '$', final: 'q' },
  { intermediates: '+', final: 'q' },
];

/** Colours (4, 5, 10 to 19, 21), pointer shape, font, clipboard, and iTerm2's own. */
export const OSC_QUERIES: readonly number[] = [4, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 50, 52, 1337];

/** A `?` in the place of a value asks; anything else sets. */
export const oscAsks = (ident: number, data: string): boolean =>
  ident === 1337
    ? /^(?:Report|Capabilities)/.test(data)
    : data.split(';').some((part) => part.startsWith('?') || part.endsWith('=?'));
