/** Takes terminal queries out of what a real terminal gets, where no parser can be told to keep silent. */
import { CONTROL_HELD_MAX_CHARS } from '../limits.ts';
import { CSI_QUERIES, DCS_QUERIES, type FunctionId, OSC_QUERIES, oscAsks } from './terminal-queries.ts';

const ESC = '\\x1b';
const CSI = `(?:${ESC}\\[|\\x9b)`;
const DCS = `(?:${ESC}P|\\x90)`;
const OSC = `(?:${ESC}\\]|\\x9d)`;
const APC = `(?:${ESC}_|\\x9f)`;
const ST = `(?:${ESC}\\\\|\\x9c)`;
const FUNCTION = '[0-9;:]*';
/** A string ends at ST; only the terminal's own strings (OSC) end at BEL, too. */
const STRING = `[^${ESC}\\x9c]*`;
const OSC_STRING = `[^${ESC}\\x07\\x9c]*`;

const SEQUENCE = new RegExp(
  [
    `${CSI}(?<prefix>[<=>?]?)(?<parameters>${FUNCTION})(?<intermediates>[ -/]*)(?<final>[@-~])`,
    `${DCS}(?<dcsPrefix>[<=>?]?)${FUNCTION}(?<dcsIntermediates>[ -/]*)(?<dcsFinal>[@-~])${STRING}${ST}`,
    `${OSC}(?<ident>[0-9]+);(?<data>${OSC_STRING})(?:\\x07|${ST})`,
    `${APC}G(?<graphics>${STRING})${ST}`,
    // DECID, and the "answerback" to ENQ.
    `(?<plain>${ESC}Z|\\x05)`,
  ].join('|'),
  'g',
);
/** A sequence that is not complete yet, at the end of the text. */
const OPEN_END = new RegExp(
  `(?:${ESC}|${CSI}[<=>?]?${FUNCTION}[ -/]*|(?:${DCS}|${APC})${STRING}${ESC}?|${OSC}${OSC_STRING}${ESC}?)$`,
);

type Groups = Readonly<Record<string, string | undefined>>;

const isFunction = (id: FunctionId, prefix = '', intermediates = '', final = ''): boolean =>
  (id.prefix ?? '') === prefix && (id.intermediates ?? '') === intermediates && id.final === final;

const isQuery = ({ prefix, parameters, intermediates, final, ...other }: Groups): boolean => {
  const { dcsPrefix, dcsIntermediates, dcsFinal, ident, data, graphics } = other;
  if (final !== undefined) {
    const query = CSI_QUERIES.find((id) => isFunction(id, prefix, intermediates, final));
    return query !== undefined && (query.asks?.(Number.parseInt(parameters ?? '', 10) || 0) ?? true);
  }
  if (dcsFinal !== undefined) return DCS_QUERIES.some((id) => isFunction(id, dcsPrefix, dcsIntermediates, dcsFinal));
  if (ident !== undefined) return OSC_QUERIES.includes(Number(ident)) && oscAsks(Number(ident), data ?? '');
  if (graphics !== undefined) return /(?:^|,)a=q(?:,|;|$)/.test(graphics);
  return other.plain !== undefined;
};

/**
 * A filter with memory, for one stream: a sequence cut by the frames is held back until its end comes. One that grows
 * over CONTROL_HELD_MAX_CHARS is passed on as it is.
 */
export const createQueryFilter = (): ((data: string) => string) => {
  let held = '';
  return (data) => {
    const text = held + data;
    const open = OPEN_END.exec(text);
    held = open !== null && open[0].length <= CONTROL_HELD_MAX_CHARS ? open[0] : '';
    return text
      .slice(0, text.length - held.length)
      .replace(SEQUENCE, (sequence, ...rest) => (isQuery(rest.at(-1)) ? '' : sequence));
  };
};
