/** The runner's log for whoever sits before it: one short line each, whatever a program printed into it. */
import { z } from 'zod';

const Line = z.looseObject({ ts: z.string(), level: z.string(), message: z.string() });
/** Said by the terminal or by the start of the line already. */
const LEFT_OUT = new Set(['ts', 'level', 'message', 'runnerId']);
const FIELD_MAX_CHARS = 300;
const CONTROL = /\p{Cc}+/gu;

const shown = (value: unknown): string =>
  (typeof value === 'string' ? value : JSON.stringify(value)).replace(CONTROL, ' ').slice(0, FIELD_MAX_CHARS);

/** `12:00:01 warn  what happened  name=value`, or the text as it is where it is none of the runner's lines. */
export const humanLine = (text: string): string => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // A warning of Node, or of a library.
    return shown(text);
  }
  const parsed = Line.safeParse(json);
  if (!parsed.success) return shown(text);
  const { ts, level, message, ...fields } = parsed.data;
  const rest = Object.entries(fields)
    .filter(([name, value]) => !LEFT_OUT.has(name) && value !== undefined)
    .map(([name, value]) => ` ${name}=${shown(value)}`);
  return `${ts.slice(11, 19)} ${level.padEnd(5)} ${shown(message)}${rest.length === 0 ? '' : ' '}${rest.join('')}`;
};
