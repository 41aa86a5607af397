/** Terminal queries are answered once, by the runner's screen model: here they are read and not answered (protocol.md). */
import {
  CSI_QUERIES,
  DCS_QUERIES,
  type FunctionId,
  OSC_QUERIES,
  oscAsks,
} from '../../../shared/viewer/terminal-queries.ts';

type Params = (number | number[])[];
/** The part of xterm's `parser` used here. */
export interface ParserLike {
  registerCsiHandler(id: FunctionId, handler: (params: Params) => boolean): unknown;
  registerDcsHandler(id: FunctionId, handler: (data: string, params: Params) => boolean): unknown;
  registerOscHandler(ident: number, handler: (data: string) => boolean): unknown;
}

export const swallowQueries = (parser: ParserLike): void => {
  for (const { asks = () => true, ...id } of CSI_QUERIES) {
    parser.registerCsiHandler(id, ([first]) => asks(typeof first === 'number' ? first : 0));
  }
  for (const id of DCS_QUERIES) parser.registerDcsHandler(id, () => true);
  for (const ident of OSC_QUERIES) parser.registerOscHandler(ident, (data) => oscAsks(ident, data));
};
