/** Reads a request body up to a cap, so that no caller can fill the memory. */
import type { IncomingMessage } from 'node:http';

/** The body, `too_large` as soon as that is certain, or `aborted` when the client went away. */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | 'too_large' | 'aborted'> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return Promise.resolve('too_large');
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let sizeBytes = 0;
    const keep = (part: Buffer) => {
      sizeBytes += part.length;
      parts.push(part);
      if (sizeBytes <= maxBytes) return;
      // The rest is read and thrown away: a client that is still writing would not see the answer otherwise.
      request.off('data', keep);
      request.resume();
      parts.length = 0;
      resolve('too_large');
    };
    request.on('data', keep);
    request.on('end', () => resolve(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)));
    // Both mean that nobody waits for an answer any more; after `end` they change nothing.
    request.on('error', () => resolve('aborted'));
    request.on('close', () => resolve('aborted'));
  });
}
