/** A small control plane for one runner: credentials, sessions, batches as ingest takes them, grants, objects; and ways to be unkind. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import type { EventEnvelope } from '../../shared/events.ts';
import {
  type Assign,
  type ControlToRunnerFrame,
  type FrameOf,
  NEXT_CREDENTIAL_HEADER,
  RunnerFrame,
  type WatcherList,
} from '../../shared/frames.ts';
import type { RunnerCredentials } from '../../shared/http.ts';
import { FRAME_MAX_BYTES } from '../../shared/limits.ts';
import { formatRunnerCredential, type RunnerPrincipal } from '../../shared/runner-credential.ts';
import type { DesiredState, SessionConfig } from '../../shared/session.ts';
import { FakeSession } from './control-session.ts';

type Batch = FrameOf<RunnerFrame, 'runner_events'>;

export interface FakeControlPlane {
  readonly url: string;
  readonly token: string;
  /** Committed events of the first session, in order. */
  readonly events: EventEnvelope[];
  readonly frames: RunnerFrame[];
  readonly objects: Map<string, Buffer>;
  readonly problems: string[];
  readonly dials: number[];
  readonly desired: { desired: DesiredState; rev: number };
  /** In the order in which they were added; the first is there from the start unless the runner waits for sessions. */
  readonly sessions: readonly FakeSession[];
  /** Assigns one more session, or the next epoch of one. Told again at each hello until its first event is there. */
  add(config: SessionConfig, epoch?: number): FakeSession;
  post(frame: ControlToRunnerFrame): void;
  ask(desired: DesiredState, isPushed?: boolean): void;
  setWatchers(watchers: WatcherList): void;
  /** Asks the runner itself; told again with every welcome. */
  askRunner(desired: 'serve' | 'drain'): void;
  /** From here on its credential is worth nothing; the line ends. */
  revoke(): void;
  /** From here on its hello is answered with this error. */
  refuseProtocol(message: string): void;
  /** Cuts the line without a word. */
  cut(): void;
  /** Answers to batches that are swallowed from now on. */
  swallowAcks(count: number): void;
  /** Assignments are not posted while this is on, as when each is lost. */
  loseAssigns(isOn: boolean): void;
  /** Objects are answered with 503 until told otherwise; `refusedPuts` names those that came meanwhile. */
  refusePuts(isOn: boolean): void;
  /** Objects are not answered any more, `stored`: although they are stored, until told otherwise; what hangs then stays so. */
  hangPuts(how: 'lost' | 'stored' | null): void;
  /** Those that are not answered. */
  readonly hangingPuts: readonly string[];
  /** Credentials are answered with 503 until told otherwise. */
  refuseCredentials(isOn: boolean): void;
  /** How often that happened. */
  readonly refusedCredentials: number;
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
  /** Whom the token names; for a runner that waits no session is there at first. */
  readonly kind?: RunnerPrincipal['kind'];
  /** The epoch before the first one here: its session goes on from what it stored. */
  readonly after?: {
    readonly control: FakeControlPlane;
    readonly checkpoint?: Assign['checkpoint'];
    readonly ranMs?: number;
    /** So many times its checkpoint is refused, as when a grant has run out. */
    readonly refuseGets?: number;
  };
}

const FIRST_EPOCH = 1;
const RUNNER_ID = 'rnr_01J0000000000000000000000A';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const Address = z.object({ port: z.int() });

const readBody = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
};

const principalOf = (
  kind: RunnerPrincipal['kind'],
  { tenantId, sessionId }: SessionConfig,
  epoch: number,
): RunnerPrincipal => {
  if (kind === 'group') return { kind, tenantId, runnerId: RUNNER_ID };
  return kind === 'warm' ? { kind, runnerId: RUNNER_ID } : { kind, tenantId, sessionId, epoch };
};

export const startFakeControlPlane = async (options: FakeControlPlaneOptions): Promise<FakeControlPlane> => {
  const { config, credentials, waitMs = 30_000, kind = 'session', after } = options;
  const before = after?.control.sessions[0];
  const firstEpoch = (before?.epoch ?? 0) + 1;
  const token = formatRunnerCredential(principalOf(kind, config, firstEpoch), 'a'.repeat(64));
  const sessions: FakeSession[] = [];
  const frames: RunnerFrame[] = [];
  const objects = after?.control.objects ?? new Map<string, Buffer>();
  const problems: string[] = [];
  const dials: number[] = [];
  const looks = new Set<() => void>();
  const refusedPuts: string[] = [];
  const hangingPuts: string[] = [];
  let hangs: 'lost' | 'stored' | null = null;
  let credentialHash = sha256(token);
  let previous: { hash: string; next: string } | null = null;
  let runnerDesired: 'serve' | 'drain' = 'serve';
  let line: WebSocket | null = null;
  let swallow = 0;
  let refusesPuts = false;
  let refusesCredentials = false;
  let refusedCredentials = 0;
  let losesAssigns = false;
  let refusal: string | null = null;
  let refusedGets = 0;

  const lookAgain = (): void => {
    for (const look of [...looks]) look();
  };
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
      const asking = sessions.find(({ capability }) => request.headers.authorization === `Bearer ${capability}`);
      if (!asking) problems.push('credentials without capability');
      if (refusesCredentials) {
        refusedCredentials += 1;
        response.writeHead(503, { 'content-type': 'application/json' }).end('{}');
        for (const look of [...looks]) look();
        return;
      }
      const answer = asking?.options.credentials ?? credentials;
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      return;
    }
    const stored = objects.get(path);
    if (request.method === 'GET' && refusedGets < (after?.refuseGets ?? 0)) {
      refusedGets += 1;
      response.writeHead(403).end();
      return;
    }
    if (request.method === 'GET' && stored) {
      response.writeHead(200, { 'content-length': String(stored.length) }).end(stored);
      return;
    }
    const grant = sessions.map(({ granted }) => granted.get(path)).find((found) => found !== undefined);
    if (request.method !== 'PUT' || !grant) {
      problems.push(`${request.method} ${path} was not granted`);
      response.writeHead(403).end();
      return;
    }
    if (refusesPuts) {
      refusedPuts.push(path);
      response.writeHead(503).end();
      lookAgain();
      return;
    }
    if (hangs !== null) {
      if (hangs === 'stored') objects.set(path, body);
      hangingPuts.push(path);
      lookAgain();
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
  const post = (frame: ControlToRunnerFrame): void => {
    if (line) send(line, frame);
  };
  const address = (): string => `http://127.0.0.1:${Address.parse(server.address()).port}`;
  const add = (added: SessionConfig, epoch = FIRST_EPOCH): FakeSession => {
    const problem = (text: string): void => void problems.push(text);
    const isNext = before !== undefined && added.sessionId === before.sessionId;
    const url = (key: string): string => `${address()}${key}`;
    const checkpoint = isNext ? (after?.checkpoint ?? before.checkpoint(url)) : null;
    const resumed = { checkpoint, ranMs: after?.ranMs ?? 0 };
    const session = new FakeSession({ config: added, epoch, ...resumed, credentials, post, problem, frames });
    sessions.push(session);
    if (!losesAssigns) post(session.assign());
    return session;
  };
  const first = (): FakeSession => {
    const [session] = sessions;
    if (!session) throw new Error('no session was assigned yet');
    return session;
  };

  const greet = (socket: WebSocket, { dial, sessions: held }: FrameOf<RunnerFrame, 'hello'>): void => {
    dials.push(dial);
    if (refusal !== null) {
      send(socket, { type: 'error', code: 'protocol_unsupported', message: refusal, requestId: 'r' });
      return;
    }
    for (const { sessionId, epoch, journalLost } of held)
      if (journalLost === true)
        sessions.find((session) => session.sessionId === sessionId && session.epoch === epoch)?.close();
    const isHeld = (session: FakeSession) =>
      held.some(({ sessionId, epoch }) => sessionId === session.sessionId && epoch === session.epoch);
    const fresh = sessions.filter((session) => session.isOpen && session.events.length === 0 && !isHeld(session));
    if (!losesAssigns) for (const session of fresh) send(socket, session.assign());
    // A runner of one session need not name it.
    const named = kind === 'session' ? sessions : sessions.filter(isHeld);
    send(socket, {
      type: 'welcome',
      dial,
      sessions: named.map((session) => session.welcome()),
      desired: runnerDesired,
    });
  };
  const takeBatch = (socket: WebSocket, frame: Batch): void => {
    const session = sessions.find(({ sessionId, epoch }) => sessionId === frame.sessionId && epoch === frame.epoch);
    if (!session) {
      problems.push(`a batch of ${frame.sessionId}#${frame.epoch}, which nobody assigned`);
      return;
    }
    if (session.isDeaf) return;
    const answer = session.take(frame, (path) => `${address()}${path}`);
    if (swallow > 0) swallow -= 1;
    else send(socket, answer);
  };
  const onFrame = (socket: WebSocket, text: string): void => {
    if (Buffer.byteLength(text) > FRAME_MAX_BYTES) problems.push(`a frame of ${Buffer.byteLength(text)} bytes`);
    const frame = RunnerFrame.parse(JSON.parse(text));
    frames.push(frame);
    if (frame.type === 'hello') greet(socket, frame);
    else if (frame.type === 'runner_events') takeBatch(socket, frame);
    else if (frame.type === 'runner_status') send(socket, { type: 'pong', ts: frame.ts, heads: [] });
    lookAgain();
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
  if (kind === 'session') add(config, firstEpoch);

  return {
    url: address(),
    token,
    get events() {
      return sessions[0]?.events ?? [];
    },
    frames,
    objects,
    problems,
    dials,
    get desired() {
      return first().desired;
    },
    sessions,
    add,
    post,
    ask: (next, isPushed) => first().ask(next, isPushed),
    setWatchers: (next) => first().setWatchers(next),
    askRunner(next) {
      runnerDesired = next;
      post({ type: 'runner_desired', desired: next });
    },
    revoke() {
      credentialHash = 'revoked';
      previous = null;
      line?.terminate();
    },
    refuseProtocol(message) {
      refusal = message;
    },
    cut: () => line?.terminate(),
    refuseCredentials(isOn) {
      refusesCredentials = isOn;
    },
    get refusedCredentials() {
      return refusedCredentials;
    },
    refusePuts(isOn) {
      refusesPuts = isOn;
    },
    refusedPuts,
    hangPuts(how) {
      hangs = how;
    },
    hangingPuts,
    swallowAcks(count) {
      swallow = count;
    },
    loseAssigns(isOn) {
      losesAssigns = isOn;
    },
    until: <T>(what: string, find: () => T | undefined | false): Promise<T> =>
      new Promise((resolve, reject) => {
        const end = (run: () => void): void => {
          clearTimeout(timer);
          looks.delete(look);
          run();
        };
        const timer = setTimeout(() => {
          const seen = sessions.map(({ events }) => events.map(({ type }) => type).join(' ')).join('\n');
          end(() => reject(new Error(`not seen: ${what}\nevents: ${seen}\nproblems: ${problems.join('\n')}`)));
        }, waitMs);
        const look = (): void => {
          const found = find();
          if (found !== undefined && found !== false) end(() => resolve(found));
        };
        looks.add(look);
        look();
      }),
    output: () => first().output(),
    attach: (viewerId) => first().attach(viewerId),
    async close() {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
