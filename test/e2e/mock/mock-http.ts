/** The plain HTTP of the stand-in: bodies in, files of the built page out. */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AppError } from '../../../shared/errors.ts';
import { HTTP_BODY_MAX_BYTES } from '../../../shared/limits.ts';

const DIST = fileURLToPath(new URL('../../../web/dist/', import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

export const readBody = async (request: IncomingMessage): Promise<unknown> => {
  let text = '';
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > HTTP_BODY_MAX_BYTES) throw new AppError('payload_too_large', 'too large');
  }
  return text === '' ? undefined : JSON.parse(text);
};

/** Files of the built page; every other address is the page itself, as behind the real gateway. */
export const serveFile = async (path: string, response: ServerResponse): Promise<void> => {
  const isFile = extname(path) !== '';
  const file = join(DIST, normalize(isFile ? path : '/index.html'));
  const body = await readFile(file).catch(() => null);
  if (body === null) response.writeHead(404).end();
  else response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(body);
};
