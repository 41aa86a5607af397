/** The runner's end of pty-host: programs under PTYs that outlive this process, their bytes addressed by raw offset. */
import { createConnection, type Socket } from 'node:net';
import {
  HostMessage,
  type ListedProcess,
  PtyError,
  type PtySignal,
  type RequestBody,
  type SpawnSpec,
} from './messages.ts';
import { encodeBinaryHead, encodeControl, FRAME, frameReader, type WireFrame } from './wire.ts';

export type { ListedProcess, PtySignal, SpawnSpec } from './messages.ts';

/** `lost`: pty-host itself went away, and the program's fate with it is unknown. */
export type PtyExit =
  | { readonly kind: 'exited'; readonly exitCode: number; readonly signal: number | null }
  | { readonly kind: 'lost' };

export interface PtyProcess {
  readonly id: string;
  readonly pid: number;
  /** Value of VILLAGE_SESSION_MARK in every process of the session. */
  readonly mark: string;
  /** Sets the one reader; what came before is kept and delivered first. `rawOffset` is that of the piece's first byte. */
  onData(reader: (bytes: Buffer, rawOffset: number) => void): void;
  /** Everything below `rawOffset` is safe with us; unacknowledged output beyond 1 MiB makes the program wait. */
  ack(rawOffset: number): void;
  /** The last number written in each lane, when it was spawned or adopted. */
  readonly lanes: readonly (readonly [lane: string, number: number])[];
  /**
   * Rejects with PtyError input_full (it does not read its input) or exited. With `once`, which text alone can have, a number that was
   * written under its lane is not written again.
   */
  write(data: string | Uint8Array, once?: { readonly lane: string; readonly number: number }): Promise<void>;
  resize(cols: number, rows: number): Promise<void>;
  signal(signal: PtySignal): Promise<void>;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Ends every process of the session, daemons included; rejects with PtyError left_over when one stays. `at_once`: none runs on to clean up. */
  kill(how?: 'at_once'): Promise<void>;
  /** Settles after the last byte reached the reader, or is kept for it. */
  readonly exited: Promise<PtyExit>;
  /** Tells pty-host to forget the ended process; until then every adopt reports its exit again. */
  release(): Promise<void>;
}

export interface PtyHost {
  spawn(spec: SpawnSpec): Promise<PtyProcess>;
  /** Reads a running or ended process on from an offset that was not acknowledged yet; rejects with offset_gone or unknown_process. */
  adopt(id: string, fromRawOffset: number): Promise<PtyProcess>;
  list(): Promise<ListedProcess[]>;
  /** Says that this runner has taken its sessions up. */
  settled(): Promise<void>;
  /** Settles when the connection ends, whoever ended it: without pty-host a runner has nothing left to run. */
  readonly lost: Promise<void>;
  close(): void;
}

interface Attached {
  readonly process: PtyProcess;
  readonly deliver: (bytes: Buffer, offset: number) => void;
  readonly settle: (exit: PtyExit) => void;
}

interface Calls {
  request(body: RequestBody): Promise<HostMessage & { op: 'ok' }>;
  write(handle: number, bytes: Buffer): Promise<void>;
  ack(handle: number, offset: number): void;
}

const attach = (described: ListedProcess, calls: Calls): Attached => {
  const { handle, id, pid, mark, lanes } = described;
  const exit = Promise.withResolvers<PtyExit>();
  let reader: ((bytes: Buffer, rawOffset: number) => void) | undefined;
  // Bounded by pty-host, which stops at its cap of unacknowledged bytes.
  let early: { bytes: Buffer; offset: number }[] = [];
  const process: PtyProcess = {
    id,
    pid,
    mark,
    lanes,
    onData(next) {
      reader = next;
      const kept = early;
      early = [];
      for (const { bytes, offset } of kept) next(bytes, offset);
    },
    ack: (rawOffset) => calls.ack(handle, rawOffset),
    write: async (data, once) => {
      if (once === undefined || typeof data !== 'string') return calls.write(handle, Buffer.from(data));
      await calls.request({ op: 'type', handle, text: data, ...once });
    },
    resize: async (cols, rows) => void (await calls.request({ op: 'resize', handle, cols, rows })),
    signal: async (signal) => void (await calls.request({ op: 'signal', handle, signal })),
    freeze: async () => void (await calls.request({ op: 'freeze', handle })),
    thaw: async () => void (await calls.request({ op: 'thaw', handle })),
    kill: async (how) => void (await calls.request({ op: 'kill', handle, atOnce: how === 'at_once' })),
    release: async () => void (await calls.request({ op: 'release', handle })),
    exited: exit.promise,
  };
  return {
    process,
    deliver: (bytes, offset) => (reader === undefined ? early.push({ bytes, offset }) : reader(bytes, offset)),
    settle: exit.resolve,
  };
};

/** Request numbers and the promises that wait for their replies. */
const callTable = (socket: Socket) => {
  const waiting = new Map<number, PromiseWithResolvers<HostMessage & { op: 'ok' }>>();
  let nextReq = 1;
  const expect = (req: number): Promise<HostMessage & { op: 'ok' }> => {
    const reply = Promise.withResolvers<HostMessage & { op: 'ok' }>();
    if (socket.destroyed) reply.reject(new PtyError('host_gone', 'pty-host is gone'));
    else waiting.set(req, reply);
    return reply.promise;
  };
  const calls: Calls = {
    request(body) {
      const req = nextReq++;
      const reply = expect(req);
      socket.write(encodeControl({ ...body, req }));
      return reply;
    },
    async write(handle, bytes) {
      const req = nextReq++;
      const reply = expect(req);
      socket.write(Buffer.concat([encodeBinaryHead(FRAME.write, handle, req, bytes.length), bytes]));
      await reply;
    },
    ack(handle, offset) {
      if (!socket.destroyed) socket.write(encodeBinaryHead(FRAME.ack, handle, offset, 0));
    },
  };
  return {
    calls,
    settle(message: Exclude<HostMessage, { op: 'exit' }>) {
      const reply = waiting.get(message.req);
      waiting.delete(message.req);
      if (message.op === 'ok') reply?.resolve(message);
      else reply?.reject(new PtyError(message.code, message.message));
    },
    fail() {
      for (const reply of waiting.values()) reply.reject(new PtyError('host_gone', 'pty-host is gone'));
      waiting.clear();
    },
  };
};

const connect = (socketPath: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = createConnection(socketPath);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });

/** Connects to the socket named by VILLAGE_PTY_SOCKET; rejects when nobody listens there. */
export const connectPtyHost = async (socketPath: string): Promise<PtyHost> => {
  const socket = await connect(socketPath);
  const table = callTable(socket);
  const attached = new Map<number, Attached>();
  const lost = Promise.withResolvers<void>();

  const onMessage = (message: HostMessage): void => {
    if (message.op === 'exit') {
      attached.get(message.handle)?.settle({ kind: 'exited', exitCode: message.exitCode, signal: message.signal });
      return;
    }
    // A spawned or adopted process is known before the next frame is read: its output may be in the same chunk.
    if (message.op === 'ok' && message.process)
      attached.set(message.process.handle, attach(message.process, table.calls));
    table.settle(message);
  };
  const onFrame = (frame: WireFrame): void => {
    if (frame.kind === 'control') onMessage(HostMessage.parse(frame.json));
    else if (frame.kind === 'output') attached.get(frame.handle)?.deliver(frame.bytes, frame.value);
    else throw new Error(`pty socket: ${frame.kind} sent to the runner`);
  };
  const read = frameReader(onFrame);
  socket.on('data', (chunk) => {
    try {
      read(chunk);
      // Node would read on for as long as there is something: whoever else has news gets a turn between two chunks.
      socket.pause();
      setImmediate(() => socket.resume());
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  });
  socket.on('error', (error) => console.error(`pty-host connection: ${error.message}`));
  socket.on('close', () => {
    table.fail();
    for (const { settle } of attached.values()) settle({ kind: 'lost' });
    lost.resolve();
  });

  const take = (reply: HostMessage & { op: 'ok' }): PtyProcess => {
    const found = reply.process && attached.get(reply.process.handle);
    if (found === undefined) throw new PtyError('failed', 'pty-host named no process');
    return found.process;
  };
  return {
    spawn: async (spec) => take(await table.calls.request({ op: 'spawn', spec })),
    adopt: async (id, fromOffset) => take(await table.calls.request({ op: 'adopt', id, fromOffset })),
    list: async () => (await table.calls.request({ op: 'list' })).processes ?? [],
    settled: async () => void (await table.calls.request({ op: 'settled' })),
    lost: lost.promise,
    close: () => socket.destroy(),
  };
};
