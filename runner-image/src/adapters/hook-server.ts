/** The runner's end of the hooks: takes requests of hook clients on a private unix socket. It only answers; nothing can be decided through it. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HOOK_CLIENTS_MAX, HOOK_REQUEST_MAX_BYTES } from '../../../shared/limits.ts';

export interface HookServerOptions {
  /** Where the socket lies, mode 0700. */
  readonly privateDir: string;
  /**
   * Answers one request (parsed JSON, not validated) with what the CLI shall read from the hook's stdout. `gone` fires when the client went away:
   * then the answer releases nothing. A rejection closes the connection without an answer, which blocks the tool.
   */
  readonly answer: (request: unknown, gone: AbortSignal) => Promise<string>;
}

export interface HookServer {
  readonly socketPath: string;
  stop(): Promise<void>;
}

/** Longest address of a unix socket on Linux, with the closing NUL. */
const SOCKET_PATH_MAX_BYTES = 108;
const HEAD_MAX_BYTES = 16;

/** Reads `<length>\n<body>`; rejects when it does not fit or the client goes away first. */
function readRequest(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    let bodyBytes: number | undefined;
    let headBytes = 0;
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const take = (chunk: Buffer): void => {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      if (bodyBytes === undefined) {
        received = Buffer.concat(chunks);
        const newline = received.indexOf(0x0a);
        if (newline === -1 && sizeBytes <= HEAD_MAX_BYTES) return;
        const head = received.subarray(0, Math.max(newline, 0)).toString('latin1');
        if (!/^\d{1,9}$/.test(head) || Number(head) > HOOK_REQUEST_MAX_BYTES) {
          reject(new Error('a hook request does not fit'));
          return;
        }
        bodyBytes = Number(head);
        headBytes = newline + 1;
      }
      if (sizeBytes < headBytes + bodyBytes) return;
      socket.off('data', take);
      resolve(Buffer.concat(chunks).subarray(headBytes, headBytes + bodyBytes));
    };
    socket.on('data', take);
    socket.once('close', () => reject(new Error('a hook client went away')));
  });
}

async function serve(socket: Socket, answer: HookServerOptions['answer']): Promise<void> {
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  const request: unknown = JSON.parse((await readRequest(socket)).toString('utf8'));
  const stdout = await answer(request, gone.signal);
  socket.end(JSON.stringify({ v: 1, stdout }));
}

async function socketFolder(privateDir: string): Promise<{ path: string; remove: () => Promise<void> }> {
  if (Buffer.byteLength(join(privateDir, 'hook.sock')) < SOCKET_PATH_MAX_BYTES) {
    return { path: privateDir, remove: () => rm(join(privateDir, 'hook.sock'), { force: true }) };
  }
  const path = await mkdtemp(join(tmpdir(), 'village-hook-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Listens on `hook.sock` (mode 0600) in the private directory, or in a fresh one of tmpdir where that path is too long for a socket. */
export async function startHookServer(options: HookServerOptions): Promise<HookServer> {
  const folder = await socketFolder(options.privateDir);
  const socketPath = join(folder.path, 'hook.sock');
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: false }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    // Whatever goes wrong, the client gets no answer and blocks the tool: that is the safe direction.
    socket.on('error', () => socket.destroy());
    serve(socket, options.answer).catch(() => socket.destroy());
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
      await folder.remove();
    },
  };
}
