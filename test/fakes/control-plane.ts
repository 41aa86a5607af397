/** A small control plane for one runner: credentials, batches as ingest takes them, grants, objects; and ways to be unkind. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { batchDigestInput } from '../../shared/batch.ts';
import type { EventEnvelope } from '../../shared/events.ts';
import { RunnerEventSchema } from '../../shared/events.ts';
import {
  type ControlToRunnerFrame,
  type FrameOf,
  NEXT_CREDENTIAL_HEADER,
  RunnerFrame,
  type UploadGrant,
  type WatcherList,
} from '../../shared/frames.ts';
import type { RunnerCredentials } from '../../shared/http.ts';
import { FRAME_MAX_BYTES } from '../../shared/limits.ts';
import { formatRunnerCredential } from '../../shared/runner-credential.ts';
import type { DesiredState, SessionConfig } from '../../shared/session.ts';

type Output = FrameOf<RunnerFrame, 'terminal_output'>;
type Batch = FrameOf<RunnerFrame, 'runner_events'>;

export interface FakeControlPlane {
  readonly url: string;
  readonly token: string;
  /** Committed events, in order. */
  readonly events: EventEnvelope[];
  readonly frames: RunnerFrame[];
  readonly objects: Map<string, Buffer>;
  readonly problems: string[];
  readonly dials: number[];
  readonly desired: { desired: DesiredState; rev: number };
  post(frame: ControlToRunnerFrame): void;
  ask(desired: DesiredState): void;
  setWatchers(watchers: WatcherList): void;
  /** Cuts the line without a word. */
  cut(): void;
  /** Answers to batches that are swallowed from now on. */
  swallowAcks(count: number): void;
  /** Objects are answered with 503 until told otherwise; `refusedPuts` names those that came meanwhile. */
  refusePuts(isOn: boolean): void;
  readonly refusedPuts: readonly string[];
  /** Resolves with the value once `look` finds one; looks at every frame. */
  until<T>(what: string, look: () => T | undefined | false): Promise<T>;
  /** What a viewer that misses nothing shows: live output without a hole, by offset. */
  output(): string;
  /** Attaches as the page does after a cut: from where its output ends. */
  attach(viewerId: string): void;
  close(): Promise<void>;
}

export interface FakeControlPlaneOptions {
  readonly config: SessionConfig;
  readonly credentials: RunnerCredentials;
  readonly waitMs?: number;
}

const EPOCH = 1;
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const Address = z.object({ port: z.int() });

const readBody = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
};

export const startFakeControlPlane = async (options: FakeControlPlaneOptions): Promise<FakeControlPlane> => {
  const { config, credentials, waitMs = 30_000 } = options;
  const { sessionId, tenantId } = config;
  const scope = { tenantId, sessionId, epoch: EPOCH };
  const token = formatRunnerCredential({ kind: 'session', ...scope }, 'a'.repeat(64));
  const capability = 'capability-of-the-test';
  const events: EventEnvelope[] = [];
  const frames: RunnerFrame[] = [];
  const objects = new Map<string, Buffer>();
  const problems: string[] = [];
  const dials: number[] = [];
  const digests = new Map<number, string>();
  const looks = new Set<() => void>();
  const granted = new Map<string, { sha256Base64: string; sizeBytes: number }>();
  let credentialHash = sha256(token);
  let previous: { hash: string; next: string } | null = null;
  let desired: { desired: DesiredState; rev: number } = { desired: 'run', rev: 0 };
  let watchers: WatcherList = { rev: 0, viewers: [], controllerId: null, controlTerm: 0 };
  let line: WebSocket | null = null;
  let swallow = 0;
  let refusesPuts = false;
  const refusedPuts: string[] = [];
  let isOpen = true;

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      problems.push(`http: ${String(error)}`);
      response.destroy();
    });
  });
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readBody(request);
    const path = request.url ?? '';
    if (path === '/api/runner/credentials') {
      if (request.headers.authorization !== `Bearer ${capability}`) problems.push('credentials without capability');
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(credentials));
      return;
    }
    const grant = granted.get(path);
    if (request.method !== 'PUT' || !grant) {
      problems.push(`${request.method} ${path} was not granted`);
      response.writeHead(403).end();
      return;
    }
    if (refusesPuts) {
      refusedPuts.push(path);
      response.writeHead(503).end();
      for (const look of [...looks]) look();
      return;
    }
    const sum = createHash('sha256').update(body).digest('base64');
    if (sum !== grant.sha256Base64 || body.length !== grant.sizeBytes)
      problems.push(`${path}: other bytes than wished`);
    if (objects.has(path)) response.writeHead(412).end();
    else {
      objects.set(path, body);
      response.writeHead(200).end();
    }
  };

  const exchange = (presented: string, next: string): boolean => {
    const hash = sha256(presented);
    if (previous?.hash === hash && previous.next === next) return true;
    if (hash !== credentialHash) return false;
    previous = { hash, next };
    credentialHash = next;
    return true;
  };
  const send = (socket: WebSocket, frame: ControlToRunnerFrame): void => socket.send(JSON.stringify(frame));
  const address = (): string => `http://127.0.0.1:${Address.parse(server.address()).port}`;
  const grantsOf = ({ uploads }: Batch): UploadGrant[] =>
    uploads.map(({ kind, number, sizeBytes, sha256Base64 }) => {
      const path = `/objects/${kind}/${EPOCH}/${number}`;
      granted.set(path, { sizeBytes, sha256Base64 });
      return { kind, number, key: path, url: `${address()}${path}`, headers: { 'if-none-match': '*' }, expiresAtMs: 1 };
    });

  const takeBatch = (socket: WebSocket, frame: Batch): void => {
    const { firstRseq, epoch } = frame;
    const digest = sha256(batchDigestInput(frame));
    if (digest !== frame.digest) problems.push(`batch ${firstRseq}: digest does not fit`);
    const known = digests.get(firstRseq);
    const isNew = events.length === firstRseq - 1;
    if (!isNew && known !== digest && frame.events.length > 0)
      problems.push(`batch ${firstRseq}: sent twice with other bytes`);
    if (firstRseq > events.length + 1) problems.push(`batch ${firstRseq}: a gap after ${events.length}`);
    if (isNew) {
      if (frame.events.length > 0) digests.set(firstRseq, digest);
      for (const event of frame.events) {
        const parsed = RunnerEventSchema.safeParse(event);
        if (!parsed.success) problems.push(`${event.type}: ${parsed.error.message}`);
        if (event.rseq !== events.length + 1) problems.push(`rseq ${event.rseq} after ${events.length}`);
        events.push(event);
        if (event.type === 'session_ended') isOpen = false;
      }
    }
    if (swallow > 0) {
      swallow -= 1;
      return;
    }
    const ackedRseq = events.length;
    send(socket, { type: 'ack', sessionId, epoch, firstRseq, ackedRseq, headSeq: ackedRseq, grants: grantsOf(frame) });
  };

  const onFrame = (socket: WebSocket, text: string): void => {
    if (Buffer.byteLength(text) > FRAME_MAX_BYTES) problems.push(`a frame of ${Buffer.byteLength(text)} bytes`);
    const frame = RunnerFrame.parse(JSON.parse(text));
    frames.push(frame);
    if (frame.type === 'hello') {
      dials.push(frame.dial);
      const session = {
        sessionId,
        epoch: EPOCH,
        ackedRseq: events.length,
        open: isOpen,
        desired,
        decisions: [],
        watchers,
      };
      if (events.length === 0)
        send(socket, {
          type: 'assign',
          sessionId,
          epoch: EPOCH,
          config,
          capability,
          taskDefinition: 'task:1',
          checkpoint: null,
          ranMs: 0,
        });
      send(socket, { type: 'welcome', dial: frame.dial, sessions: [{ ...session, grants: [] }], desired: 'serve' });
    } else if (frame.type === 'runner_events') takeBatch(socket, frame);
    for (const look of [...looks]) look();
  };

  const sockets = new WebSocketServer({ noServer: true });
  server.on('upgrade', (request, socket, head) => {
    const presented = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    const next = request.headers[NEXT_CREDENTIAL_HEADER];
    if (typeof next !== 'string' || !exchange(presented, next)) {
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      line = accepted;
      accepted.on('message', (data) => {
        try {
          onFrame(accepted, String(data));
        } catch (error) {
          problems.push(String(error));
        }
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  const post = (frame: ControlToRunnerFrame): void => {
    if (line) send(line, frame);
  };
  const assembled = (): { text: string; end: number } => {
    const outputs = frames.filter((frame): frame is Output => frame.type === 'terminal_output');
    const bytes: Buffer[] = [];
    let end = outputs[0]?.offset ?? 0;
    for (const { offset, data } of outputs.toSorted((one, other) => one.offset - other.offset)) {
      const piece = Buffer.from(data);
      if (offset > end) break;
      if (offset + piece.length <= end) continue;
      bytes.push(piece.subarray(end - offset));
      end = offset + piece.length;
    }
    return { text: Buffer.concat(bytes).toString('utf8'), end };
  };
  return {
    url: address(),
    token,
    events,
    frames,
    objects,
    problems,
    dials,
    get desired() {
      return desired;
    },
    post,
    ask(next) {
      desired = { desired: next, rev: desired.rev + 1 };
      post({ type: 'desired', sessionId, epoch: EPOCH, ...desired });
    },
    setWatchers(next) {
      watchers = next;
      post({ type: 'viewers', sessionId, epoch: EPOCH, ...next });
    },
    cut: () => line?.terminate(),
    refusePuts(isOn) {
      refusesPuts = isOn;
    },
    refusedPuts,
    swallowAcks(count) {
      swallow = count;
    },
    until: <T>(what: string, find: () => T | undefined | false): Promise<T> =>
      new Promise((resolve, reject) => {
        const end = (run: () => void): void => {
          clearTimeout(timer);
          looks.delete(look);
          run();
        };
        const timer = setTimeout(() => {
          const seen = events.map(({ type }) => type).join(' ');
          end(() => reject(new Error(`not seen: ${what}\nevents: ${seen}\nproblems: ${problems.join('\n')}`)));
        }, waitMs);
        const look = (): void => {
          const found = find();
          if (found !== undefined && found !== false) end(() => resolve(found));
        };
        looks.add(look);
        look();
      }),
    output: () => assembled().text,
    attach: (viewerId) =>
      post({
        ...{ type: 'attach', sessionId, epoch: EPOCH, rev: watchers.rev, viewerId, mode: 'control' },
        controlTerm: watchers.controlTerm,
        from: { epoch: EPOCH, offset: assembled().end },
        cols: config.terminal.cols,
        rows: config.terminal.rows,
      }),
    async close() {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
