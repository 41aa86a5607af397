/** The unix socket that runners speak to: requests in, output and exits out; processes outlive every connection. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock, Random } from '../../../shared/clock.ts';
import { PTY_CONNECTIONS_MAX, PTY_PROCESSES_MAX } from '../../../shared/limits.ts';
import { echoYield } from './echo-yield.ts';
import { type HostedProcess, hostProcess } from './hosted-process.ts';
import { type HostMessage, type ListedProcess, PtyError, Request } from './messages.ts';
import type { OutputSink } from './output-pump.ts';
import { freezeSession, killSession, settleSession, stoppedBefore, thawSession } from './session-processes.ts';
import { encodeBinaryHead, encodeControl, FRAME, frameReader, type WireFrame } from './wire.ts';

export interface PtyServer {
  readonly socketPath: string;
  /** Kills every process of every session and takes no new ones. Resolves with the pids left over: normally none. */
  killAll(graceMs?: number): Promise<number[]>;
  /** Closes the socket and removes its directory. */
  close(): void;
}

const Numbered = z.object({ req: z.int() });

type Answer = { process?: ListedProcess; processes?: ListedProcess[] };

const sinkOf = (socket: Socket, onOutput: (handle: number) => void): OutputSink => ({
  output(handle, offset, pieces) {
    let sizeBytes = 0;
    for (const piece of pieces) sizeBytes += piece.length;
    // Corked, head and pieces leave in one writev without being copied together.
    socket.cork();
    socket.write(encodeBinaryHead(FRAME.output, handle, offset, sizeBytes));
    for (const piece of pieces) socket.write(piece);
    socket.uncork();
    onOutput(handle);
  },
  exit(handle, report) {
    socket.write(encodeControl({ op: 'exit', handle, ...report } satisfies HostMessage));
  },
});

/** All processes by handle, and what a request does to them. */
const processTable = (clock: Clock, random: Random) => {
  const processes = new Map<number, HostedProcess>();
  let nextHandle = 1;
  let isClosing = false;

  const get = (handle: number): HostedProcess => {
    const found = processes.get(handle);
    if (found === undefined) throw new PtyError('unknown_process', `no process ${handle}`);
    return found;
  };
  const spawn = (spec: Extract<Request, { op: 'spawn' }>['spec'], sink: OutputSink): Answer => {
    if (isClosing || processes.size >= PTY_PROCESSES_MAX) throw new PtyError('too_many', 'no room for another process');
    for (const known of processes.values())
      if (known.describe().id === spec.id) throw new PtyError('duplicate_id', `${spec.id} exists`);
    const started = hostProcess(spec, nextHandle++, clock, random);
    processes.set(started.handle, started);
    started.attach(sink, 0);
    return { process: started.describe() };
  };
  const adopt = (id: string, fromOffset: number, sink: OutputSink): { answer: Answer; attach: () => void } => {
    for (const known of processes.values()) {
      const process = known.describe();
      if (process.id !== id) continue;
      if (fromOffset < process.ackedOffset || fromOffset > process.endOffset)
        throw new PtyError(
          'offset_gone',
          `offset ${fromOffset} is outside ${process.ackedOffset}..${process.endOffset}`,
        );
      return { answer: { process }, attach: () => known.attach(sink, fromOffset) };
    }
    throw new PtyError('unknown_process', `no process ${id}`);
  };
  const echoes = echoYield(clock, () => processes.values());
  const kill = async (process: HostedProcess, graceMs?: number): Promise<number[]> => {
    const left = await killSession(process.root, clock, graceMs);
    process.frozen = false;
    return left;
  };
  const settle = async (process: HostedProcess): Promise<void> => {
    const thaw = Symbol('thaw');
    process.settling = thaw;
    const isOver = () => process.frozen || process.settling !== thaw || isClosing;
    await settleSession(process.root, clock, process.stoppedBefore, isOver);
    // A freeze meanwhile goes on from what was stopped before this thaw.
    if (process.settling === thaw) process.settling = undefined;
  };
  return {
    get,
    echoes,
    spawn,
    adopt,
    list: (): ListedProcess[] => [...processes.values()].map((known) => known.describe()),
    async freeze(handle: number) {
      const process = get(handle);
      if (!process.frozen && process.settling === undefined) process.stoppedBefore = stoppedBefore(process.root);
      process.frozen = true;
      await freezeSession(process.root, clock);
    },
    thaw(handle: number) {
      const process = get(handle);
      if (!process.frozen) return;
      process.frozen = false;
      thawSession(process.root, process.stoppedBefore);
      void settle(process).catch((error: unknown) => console.error(`pty-host: after a thaw: ${String(error)}`));
    },
    signal(handle: number, signal: NodeJS.Signals) {
      const { exit, root } = get(handle);
      if (exit !== undefined) throw new PtyError('exited', 'the program has ended');
      process.kill(root.pid, signal);
    },
    async kill(handle: number, atOnce: boolean) {
      const left = await kill(get(handle), atOnce ? 0 : undefined);
      if (left.length > 0) throw new PtyError('left_over', `still there: ${left.join(', ')}`);
    },
    release(handle: number) {
      if (get(handle).exit === undefined) throw new PtyError('failed', 'only an ended process can be released');
      processes.delete(handle);
    },
    detach: (sink: OutputSink) => {
      for (const known of processes.values()) known.detach(sink);
    },
    ack: (handle: number, offset: number) => processes.get(handle)?.ack(offset),
    async killAll(graceMs?: number) {
      isClosing = true;
      return (await Promise.all([...processes.values()].map((known) => kill(known, graceMs)))).flat();
    },
  };
};
interface Served {
  readonly table: ReturnType<typeof processTable>;
  readonly onSettled: () => void;
}

const perform = async ({ table, onSettled }: Served, request: Request, sink: OutputSink): Promise<Answer> => {
  switch (request.op) {
    case 'spawn':
      return table.spawn(request.spec, sink);
    case 'list':
      return { processes: table.list() };
    case 'type':
      table.get(request.handle).type(request.text, request.lane, request.number);
      table.echoes.typed(request.handle);
      return {};
    case 'settled':
      onSettled();
      return {};
    case 'resize':
      table.get(request.handle).resize(request.cols, request.rows);
      return {};
    case 'signal':
      table.signal(request.handle, request.signal);
      return {};
    case 'freeze':
      await table.freeze(request.handle);
      return {};
    case 'thaw':
      table.thaw(request.handle);
      return {};
    case 'kill':
      await table.kill(request.handle, request.atOnce);
      return {};
    case 'release':
      table.release(request.handle);
      return {};
    case 'adopt':
      throw new Error('adopt is answered before its output is sent');
  }
};

const serveConnection = (socket: Socket, served: Served): void => {
  const { table } = served;
  const sink = sinkOf(socket, table.echoes.answered);
  const say = (message: HostMessage): void => {
    if (!socket.destroyed) socket.write(encodeControl(message));
  };
  const refuse = (req: number, error: unknown): void => {
    const code = error instanceof PtyError ? error.code : 'failed';
    say({ op: 'error', req, code, message: error instanceof Error ? error.message : String(error) });
  };
  const answer = async (request: Request): Promise<void> => {
    try {
      if (request.op === 'adopt') {
        // The reply goes first: the runner must know the handle before its bytes arrive.
        const { answer: found, attach } = table.adopt(request.id, request.fromOffset, sink);
        say({ op: 'ok', req: request.req, ...found });
        attach();
      } else say({ op: 'ok', req: request.req, ...(await perform(served, request, sink)) });
    } catch (error) {
      refuse(request.req, error);
    }
  };
  const write = (handle: number, req: number, bytes: Buffer): void => {
    try {
      table.get(handle).write(bytes);
      table.echoes.typed(handle);
      say({ op: 'ok', req });
    } catch (error) {
      refuse(req, error);
    }
  };
  const control = (json: unknown): void => {
    const request = Request.safeParse(json);
    if (request.success) void answer(request.data);
    // A request that does not fit is refused by its number; without one the connection is out of step.
    else refuse(Numbered.parse(json).req, request.error);
  };
  const onFrame = (frame: WireFrame): void => {
    if (frame.kind === 'control') control(frame.json);
    else if (frame.kind === 'ack') table.ack(frame.handle, frame.value);
    else if (frame.kind === 'write') write(frame.handle, frame.value, frame.bytes);
    else throw new Error('pty socket: output sent to pty-host');
  };
  const read = frameReader(onFrame);
  socket.on('data', (chunk) => {
    try {
      read(chunk);
    } catch (error) {
      // Out of step with this runner: only a new connection can be trusted. Its processes stay.
      socket.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  });
  socket.on('error', (error) => console.error(`pty-host: connection: ${error.message}`));
  socket.on('close', () => table.detach(sink));
};

/** `onSettled`: a runner has taken its sessions up. Listens on a socket of mode 0600 in a private directory (0700) of its own under the temporary directory. */
export const startPtyServer = async (
  clock: Clock,
  random: Random,
  onSettled: () => void = () => {},
): Promise<PtyServer> => {
  const folder = mkdtempSync(join(tmpdir(), 'village-pty-'));
  const socketPath = join(folder, 'pty.sock');
  const table = processTable(clock, random);
  const connections: Socket[] = [];
  const server = createServer((socket) => {
    connections.push(socket);
    if (connections.length > PTY_CONNECTIONS_MAX) connections[0]?.destroy();
    socket.once('close', () => connections.splice(connections.indexOf(socket), 1));
    serveConnection(socket, { table, onSettled });
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(socketPath, resolve));
  chmodSync(socketPath, 0o600);
  return {
    socketPath,
    killAll: (graceMs) => table.killAll(graceMs),
    close() {
      server.close();
      for (const socket of [...connections]) socket.destroy();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};
