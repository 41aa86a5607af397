/** JSON logs, one line each: what an agent prints or a person types can never start a line of its own. */
import type { Clock } from '../../shared/clock.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with fields on every line. */
  with(fields: LogFields): Log;
}

const ORDER: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
const TEXT_MAX_CHARS = 2_000;
const SECRET_NAME = /token|secret|password|credential|capability|apikey|api_key|authorization|^url$|^env$/i;
/** JSON escapes C0 itself; these break lines or move cursors in some readers. */
const CONTROL = /[\u007f-\u009f\u2028\u2029]/g;

const escapeControl = (json: string): string =>
  json.replace(CONTROL, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);

const safeValue = (name: string, value: unknown): unknown => {
  if (SECRET_NAME.test(name)) return '[hidden]';
  if (value instanceof Error) return (value.stack ?? `${value.name}: ${value.message}`).slice(0, TEXT_MAX_CHARS);
  if (typeof value === 'string') return value.slice(0, TEXT_MAX_CHARS);
  if (value === null || typeof value === 'number' || typeof value === 'boolean' || value === undefined) return value;
  if (Array.isArray(value)) return value.slice(0, 50).map((entry) => safeValue('', entry));
  if (typeof value === 'object') return safeFields(value as LogFields);
  return String(value);
};

const safeFields = (fields: LogFields): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, safeValue(name, value)]));

/** One line without its newline. Fields whose name tells of a secret are hidden. */
export const formatLine = (atMs: number, level: LogLevel, message: string, fields: LogFields): string =>
  escapeControl(
    JSON.stringify({
      ts: new Date(atMs).toISOString(),
      level,
      message: message.slice(0, TEXT_MAX_CHARS),
      ...safeFields(fields),
    }),
  );

/** `write` gets each line with its newline; `onError` each error, whatever the level, without the fields it came with. */
export const createLog = (
  level: LogLevel,
  clock: Clock,
  write: (line: string) => void,
  base: LogFields = {},
  onError: (message: string, error: unknown) => void = () => {},
): Log => {
  const least = ORDER.indexOf(level);
  const at =
    (lineLevel: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      if (lineLevel === 'error') onError(message, fields.error);
      if (ORDER.indexOf(lineLevel) < least) return;
      write(`${formatLine(clock.nowMs(), lineLevel, message, { ...base, ...fields })}\n`);
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => createLog(level, clock, write, { ...base, ...fields }, onError),
  };
};

/** For code and tests that log nowhere. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLog,
};
