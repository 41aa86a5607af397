/** Where a command writes: data on stdout, everything for people on stderr, errors as JSON when JSON was asked for. */
import pc from 'picocolors';
import type { CliError } from './cli-error.ts';

export interface Output {
  readonly json: boolean;
  /** Data: one line. */
  line(text: string): void;
  /** Data as it is, without a line end. */
  raw(text: string): void;
  /** Data as one JSON line. */
  object(value: unknown): void;
  /** For people. */
  note(text: string): void;
  error(error: CliError): void;
}

export const createOutput = (
  json: boolean,
  stdout: { write(text: string): unknown } = process.stdout,
  stderr: { write(text: string): unknown } = process.stderr,
): Output => ({
  json,
  line: (text) => void stdout.write(`${text}\n`),
  raw: (text) => void stdout.write(text),
  object: (value) => void stdout.write(`${JSON.stringify(value)}\n`),
  note: (text) => void stderr.write(`${text}\n`),
  error(error) {
    const { code, message, requestId } = error;
    if (json) stderr.write(`${JSON.stringify({ code, message, requestId })}\n`);
    else stderr.write(`${pc.red('error')} ${message}${requestId === null ? '' : pc.dim(` (request ${requestId})`)}\n`);
  },
});
