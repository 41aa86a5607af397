/** Takes requests of hook clients on a private unix socket. It only answers; nothing can be decided through it. */
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { HOOK_CLIENTS_MAX, HOOK_REQUEST_MAX_BYTES } from '../../../shared/limits.ts';

export interface HookRequest {
  /** Parsed JSON, not validated. */
  readonly body: unknown;
  /** The same for each repeat of one call, and only for the same bytes: a client repeats what was not answered. */
  readonly key: string;
  /** The client went away: an answer releases nothing. */
  readonly gone: AbortSignal;
}

export interface HookServerOptions {
  /** Where the socket lies, mode 0700. */
  readonly privateDir: string;
  /** The socket of the runner process before this one, whose clients still ask there. */
  readonly socketPath?: string;
  /** What the CLI shall read from the hook's stdout. A rejection is told to the client, which blocks the tool. */
  readonly answer: (request: HookRequest) => Promise<string>;
  /** The client has its answer: it will not repeat this call. */
  readonly onAnswered?: (key: string) => void;
}

export interface HookServer {
  readonly socketPath: string;
  stop(): Promise<void>;
}

/** Longest address of a unix socket on Linux, with the closing NUL. */
const SOCKET_PATH_MAX_BYTES = 108;
/** `<length> <uuid>` and a newline. */
const HEAD_MAX_BYTES = 48;
const HEAD = /^(\d{1,9}) ([0-9a-f-]{36})$/;

interface Message {
  readonly id: string;
  readonly bytes: Buffer;
}

/** Reads `<length> <id>\n<body>`; rejects when it does not fit or the client goes away first. */
function readRequest(socket: Socket): Promise<Message> {
  return new Promise((resolve, reject) => {
    let head: { readonly id: string; readonly sizeBytes: number; readonly bodyBytes: number } | undefined;
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const take = (chunk: Buffer): void => {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      if (head === undefined) {
        const received = Buffer.concat(chunks);
        const newline = received.indexOf(0x0a);
        if (newline === -1 && sizeBytes <= HEAD_MAX_BYTES) return;
        const [, length = '', id] = HEAD.exec(received.subarray(0, Math.max(newline, 0)).toString('latin1')) ?? [];
        if (id === undefined || Number(length) > HOOK_REQUEST_MAX_BYTES) {
          reject(new Error('the request does not fit'));
          return;
        }
        head = { id, sizeBytes: newline + 1, bodyBytes: Number(length) };
      }
      const endBytes = head.sizeBytes + head.bodyBytes;
      if (sizeBytes < endBytes) return;
      socket.off('data', take);
      resolve({ id: head.id, bytes: Buffer.concat(chunks).subarray(head.sizeBytes, endBytes) });
    };
    socket.on('data', take);
    socket.once('close', () => reject(new Error('the client went away')));
  });
}

const REASON_MAX_CHARS = 300;

async function serve(socket: Socket, { answer, onAnswered }: HookServerOptions): Promise<void> {
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  let reply: object;
  let key: string | undefined;
  try {
    const { id, bytes } = await readRequest(socket);
    key = `${id} ${createHash('sha256').update(bytes).digest('hex')}`;
    const body: unknown = JSON.parse(bytes.toString('utf8'));
    reply = { v: 1, stdout: await answer({ body, key, gone: gone.signal }) };
  } catch (error) {
    // Said in words: a connection that ends without any means that the runner died, and is asked again.
    reply = { v: 1, refused: (error instanceof Error ? error.message : 'unknown').slice(0, REASON_MAX_CHARS) };
  }
  const answered = key;
  socket.end(JSON.stringify(reply), () => {
    // In the kernel's hands: the client gets it even if this process dies now.
    if (answered !== undefined) onAnswered?.(answered);
  });
}

async function socketFolder({ privateDir, socketPath }: HookServerOptions): Promise<string> {
  if (socketPath !== undefined) {
    await mkdir(dirname(socketPath), { recursive: true, mode: 0o700 });
    return dirname(socketPath);
  }
  if (Buffer.byteLength(join(privateDir, 'hook.sock')) < SOCKET_PATH_MAX_BYTES) return privateDir;
  return mkdtemp(join(tmpdir(), 'village-hook-'));
}

/**
 * Listens on `hook.sock` (mode 0600) in the private directory, or in a fresh one of tmpdir where that path is too long for a socket.
 * A socket file that a dead runner left is replaced.
 */
export async function startHookServer(options: HookServerOptions): Promise<HookServer> {
  const folder = await socketFolder(options);
  const socketPath = join(folder, 'hook.sock');
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: false }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    void serve(socket, options);
  });
  server.maxConnections = HOOK_CLIENTS_MAX;
  await rm(socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  await chmod(socketPath, 0o600);
  return {
    socketPath,
    async stop() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder === options.privateDir ? socketPath : folder, { recursive: true, force: true });
    },
  };
}
