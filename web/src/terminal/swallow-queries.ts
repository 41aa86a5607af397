/** Terminal queries are answered once, by the runner's screen model: here they are read and not answered (protocol.md). */

type Params = (number | number[])[];
interface FunctionId {
  prefix?: string;
  intermediates?: string;
  final: string;
}
/** The part of xterm's `parser` used here. */
export interface ParserLike {
  registerCsiHandler(id: FunctionId, handler: (params: Params) => boolean): unknown;
  registerDcsHandler(id: FunctionId, handler: (data: string, params: Params) => boolean): unknown;
  registerOscHandler(ident: number, handler: (data: string) => boolean): unknown;
}

/** Device attributes, status and cursor reports, mode reports, window reports, kitty keyboard and version queries. */
const CSI_QUERIES: readonly FunctionId[] = [
  { final: 'c' },
  { prefix: '>', final: 'c' },
  { prefix: '=', final: 'c' },
  { final: 'n' },
  { prefix: '?', final: 'n' },
  { intermediates: '$', final: 'p' },
  { prefix: '?', intermediates: '$', final: 'p' },
  { final: 't' },
  { final: 'x' },
  { prefix: '>', final: 'q' },
  { prefix: '?', final: 'u' },
];
const DCS_QUERIES: readonly FunctionId[] = [
  { intermediates: '$', final: 'q' },
  { intermediates: '+', final: 'q' },
];
/** Palette, foreground, background and cursor colour: a `?` asks, anything else sets. */
const OSC_COLOURS = [4, 10, 11, 12];

export const swallowQueries = (parser: ParserLike): void => {
  for (const id of CSI_QUERIES) parser.registerCsiHandler(id, () => true);
  for (const id of DCS_QUERIES) parser.registerDcsHandler(id, () => true);
  for (const ident of OSC_COLOURS) parser.registerOscHandler(ident, (data) => data.split(';').includes('?'));
};
