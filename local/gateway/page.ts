/** Serves the built page as CloudFront and its bucket do: cached assets, one index for every client-side route, strict headers. */
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pagePolicyHeader } from '../../shared/page-policy.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
};
const ENCODINGS = [
  { name: 'br', suffix: '.br' },
  { name: 'gzip', suffix: '.gz' },
] as const;
/** Built files carry their hash in the name. */
const ASSETS = '/assets/';

/** Content-Security-Policy and its kin; `connectOrigins` are the socket's and the object store's. */
export function securityHeaders(connectOrigins: readonly string[]): Readonly<Record<string, string>> {
  return {
    'content-security-policy': pagePolicyHeader(connectOrigins),
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
  };
}

interface FoundFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

/** The regular file below `root`, links resolved; null for everything else, also for what leaves `root`. */
async function fileBelow(root: string, relative: string): Promise<FoundFile | null> {
  try {
    const path = await realpath(join(root, relative));
    if (!path.startsWith(root + sep)) return null;
    const found = await stat(path);
    return found.isFile() ? { path, sizeBytes: found.size, modifiedMs: found.mtimeMs } : null;
  } catch {
    // Missing or unreadable: both are "not there" to a browser.
    return null;
  }
}

/** A decoded path whose segments are plain names, or null: dot files, `..`, back-slashes and NUL are never served. */
function safePath(path: string): string | null {
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    // Not valid percent-encoding.
    return null;
  }
  if (decoded.includes('\0') || decoded.includes('\\')) return null;
  return decoded.split('/').some((segment) => segment.startsWith('.')) ? null : decoded;
}

async function encodedForm(root: string, relative: string, request: IncomingMessage) {
  const accepted = String(request.headers['accept-encoding'] ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => !/;\s*q=0(?:\.0*)?$/.test(entry))
    .map((entry) => entry.split(';')[0]);
  for (const { name, suffix } of ENCODINGS) {
    if (!accepted.includes(name)) continue;
    const file = await fileBelow(root, relative + suffix);
    if (file !== null) return { file, encoding: name };
  }
  return null;
}

function finish(response: ServerResponse, status: number, text = ''): void {
  response.statusCode = status;
  if (text !== '') response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(text);
}

async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  root: string,
  relative: string,
  plain: FoundFile,
) {
  const encoded = await encodedForm(root, relative, request);
  const { file } = encoded ?? { file: plain };
  const etag = `"${file.sizeBytes.toString(36)}-${Math.round(file.modifiedMs).toString(36)}"`;
  response.setHeader('etag', etag);
  response.setHeader('vary', 'accept-encoding');
  response.setHeader('cache-control', relative.startsWith(ASSETS) ? 'public, max-age=31536000, immutable' : 'no-cache');
  if (request.headers['if-none-match'] === etag) return finish(response, 304);
  response.setHeader('content-type', TYPES[extname(relative).toLowerCase()] ?? 'application/octet-stream');
  response.setHeader('content-length', file.sizeBytes);
  if (encoded !== null) response.setHeader('content-encoding', encoded.encoding);
  if (request.method === 'HEAD') return finish(response, 200);
  try {
    await pipeline(createReadStream(file.path), response);
  } catch {
    // The browser went away or the file was replaced while it was sent: the broken connection tells it.
    response.destroy();
  }
}

/** The handler of everything that is neither API nor WebSocket. `headers` go on every answer. */
export async function createPage(
  dir: string,
  headers: () => Readonly<Record<string, string>>,
): Promise<(request: IncomingMessage, response: ServerResponse, path: string) => Promise<void>> {
  const root = await realpath(dir);
  return async (request, response, path) => {
    for (const [name, value] of Object.entries(headers())) response.setHeader(name, value);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return finish(response, 405, 'Method Not Allowed');
    }
    const relative = safePath(path);
    if (relative === null) return finish(response, 404, 'Not Found');
    const file = await fileBelow(root, relative);
    if (file !== null) return sendFile(request, response, root, relative, file);
    const index = relative.startsWith(ASSETS) ? null : await fileBelow(root, '/index.html');
    if (index === null) return finish(response, 404, 'Not Found');
    return sendFile(request, response, root, '/index.html', index);
  };
}
