import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { type WebSocket, WebSocketServer } from 'ws';
import { AppError } from '../../../shared/errors.ts';
import type { SessionEvent } from '../../../shared/events.ts';
import { ControlToViewerFrame, VIEWER_SUBPROTOCOL, ViewerFrame } from '../../../shared/frames.ts';
import {
  IDEMPOTENCY_HEADER,
  RegisterRunnerBody,
  type RunnerInfo,
  type SessionDiff,
  StartSessionBody,
  type TranscriptChunk,
} from '../../../shared/http.ts';
import { PROVIDERS } from '../../../shared/providers.ts';
import { type ControlRequest, isFinal, type SessionView } from '../../../shared/session.ts';
import { mockId, mockRunner } from './mock-data.ts';
import { readBody, serveFile } from './mock-http.ts';

const VIEW = 'signed-view';

interface MockSession {
  view: SessionView;
  events: SessionEvent[];
  diff: SessionDiff | null;
  chunks: TranscriptChunk[];
  live: boolean;
}
interface Viewer {
  readonly socket: WebSocket;
  readonly sessionId: string;
  readonly viewerId: string;
  readonly device: string;
}

export class MockVillage {
  readonly sessions = new Map<string, MockSession>();
  readonly runners: RunnerInfo[] = [];
  readonly starts: { body: StartSessionBody; key: string }[] = [];
  readonly asked: string[] = [];
  readonly frames: ViewerFrame[] = [];
  readonly viewers = new Map<string, Viewer>();
  signedIn = true;
  modelKey = false;
  /** Given to the next calls of `POST /api/sessions`, first first. */
  readonly startFailures: AppError[] = [];
  controllerId: string | null = null;
  controlTerm = 0;
  request: ControlRequest | null = null;
  /** Viewers without a page of their own. */
  readonly others: (Omit<Viewer, 'socket'> & { userId: string })[] = [];
  #viewersRev = 0;
  /** Called for each input frame that counts; default: acknowledge and echo nothing. */
  onInput: (data: string, viewer: Viewer) => void = () => {};
  readonly #http = createServer((request, response) => void this.#answer(request, response));
  readonly #ws = new WebSocketServer({
    server: this.#http,
    path: '/ws/viewer',
    handleProtocols: () => VIEWER_SUBPROTOCOL,
  });
  refuseSockets = false;

  async listen(): Promise<string> {
    this.#ws.on('connection', (socket) => this.#connected(socket));
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve));
    const { port } = this.#http.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  async close(): Promise<void> {
    for (const client of this.#ws.clients) client.terminate();
    this.#ws.close();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  add(view: SessionView, over: Partial<Omit<MockSession, 'view'>> = {}): MockSession {
    const session = { view, events: [], diff: null, chunks: [], live: !isFinal(view.state), ...over };
    session.view = { ...view, head: { ...view.head, seq: session.events.at(-1)?.seq ?? view.head.seq } };
    this.sessions.set(view.sessionId, session);
    return session;
  }

  /** Sends a frame to every viewer of the session, checked against the schema first. */
  send(sessionId: string, frame: unknown): void {
    const checked = ControlToViewerFrame.parse(frame);
    for (const viewer of this.viewers.values()) {
      if (viewer.sessionId === sessionId) viewer.socket.send(JSON.stringify(checked));
    }
  }

  /** Cuts every viewer's line without a goodbye. */
  cut(): void {
    for (const client of this.#ws.clients) client.terminate();
  }

  #connected(socket: WebSocket): void {
    if (this.refuseSockets) {
      socket.terminate();
      return;
    }
    socket.on('message', (data) => {
      const frame = ViewerFrame.parse(JSON.parse(String(data)));
      this.frames.push(frame);
      this.#receive(socket, frame);
    });
    socket.on('close', () => {
      for (const [id, viewer] of this.viewers) if (viewer.socket === socket) this.viewers.delete(id);
    });
  }

  #receive(socket: WebSocket, frame: ViewerFrame): void {
    if (frame.type === 'ping') {
      socket.send(JSON.stringify({ type: 'pong', ts: frame.ts, heads: [] }));
    } else if (frame.type === 'attach') {
      this.#attach(socket, frame);
    } else if (frame.type === 'input') {
      const viewer = this.viewers.get(frame.viewerId);
      if (viewer === undefined) return;
      const { sessionId, viewerId, controlTerm, inputSeq } = frame;
      socket.send(JSON.stringify({ type: 'input_ack', sessionId, epoch: 1, viewerId, controlTerm, inputSeq }));
      this.onInput(frame.data, viewer);
    } else if (frame.type === 'control_request' || frame.type === 'control_answer') {
      this.#negotiate(frame);
    }
  }

  #attach(socket: WebSocket, frame: Extract<ViewerFrame, { type: 'attach' }>): void {
    const session = this.sessions.get(frame.sessionId);
    if (session === undefined) return;
    const { sessionId, viewerId, device = '' } = frame;
    this.viewers.set(viewerId, { socket, sessionId, viewerId, device });
    const free = this.controllerId === null || this.controllerId === frame.viewerId;
    if (frame.mode === 'control' && (free || frame.takeOver)) {
      if (this.controllerId !== frame.viewerId) this.controlTerm += 1;
      this.controllerId = frame.viewerId;
    } else if (frame.mode === 'watch' && this.controllerId === frame.viewerId) {
      this.controllerId = null;
      this.controlTerm += 1;
    }
    const { view, live } = session;
    const attached = {
      type: 'attached',
      sessionId: frame.sessionId,
      viewerId: frame.viewerId,
      session: view,
      live,
      head: view.head,
      mode: this.controllerId === frame.viewerId ? 'control' : 'watch',
      view: VIEW,
      ...this.#presence(frame.sessionId),
    };
    socket.send(JSON.stringify(ControlToViewerFrame.parse(attached)));
    // As a runner does that has nothing new for this viewer.
    const { epoch, offset } = view.head;
    if (live && epoch > 0) socket.send(JSON.stringify({ type: 'head', sessionId, epoch, offset, seq: 0 }));
    this.announce(sessionId);
  }

  /** Tells everybody who is here and who leads; after a test changed it. */
  announce(sessionId: string): void {
    this.send(sessionId, { type: 'presence', sessionId, ...this.#presence(sessionId) });
  }

  #negotiate(frame: Extract<ViewerFrame, { type: 'control_request' | 'control_answer' }>): void {
    if (frame.type === 'control_request')
      this.request = frame.wanted ? { viewerId: frame.viewerId, sinceMs: Date.now(), declined: false } : null;
    else if (!frame.allow && this.request !== null) this.request = { ...this.request, declined: true };
    else {
      this.controllerId = frame.toViewerId;
      this.controlTerm += 1;
      this.request = null;
    }
    this.announce(frame.sessionId);
  }

  #presence(sessionId: string) {
    this.#viewersRev += 1;
    const here = [...this.viewers.values(), ...this.others].filter((viewer) => viewer.sessionId === sessionId);
    const { controllerId, controlTerm, request } = this;
    return {
      rev: this.#viewersRev,
      viewers: here.map(({ viewerId, device }) => ({
        viewerId,
        mode: viewerId === controllerId ? 'control' : 'watch',
        userId: this.others.find((other) => other.viewerId === viewerId)?.userId ?? 'owner',
        sinceMs: 0,
        device,
      })),
      controllerId,
      controlTerm,
      request,
    };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://mock');
    try {
      if (url.pathname.startsWith('/api/')) {
        const body = await this.#api(request, url, await readBody(request));
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      } else if (url.pathname.startsWith('/chunks/')) {
        const [, , sessionId = '', number] = url.pathname.split('/');
        const chunk = this.sessions.get(sessionId)?.chunks[Number(number)];
        response.writeHead(200).end(gzipSync(JSON.stringify(chunk)));
      } else await serveFile(url.pathname, response);
    } catch (error) {
      const known = error instanceof AppError ? error : new AppError('internal', String(error));
      response
        .writeHead(known.status, { 'content-type': 'application/json' })
        .end(JSON.stringify({ code: known.code, message: known.message, requestId: 'mock', path: known.path }));
    }
  }

  async #api(request: IncomingMessage, url: URL, body: unknown): Promise<unknown> {
    if (url.pathname === '/api/signin') return this.#signIn(body);
    if (!this.signedIn) throw new AppError('not_signed_in', 'Sign in first.');
    switch (url.pathname) {
      case '/api/me':
        return { tenantId: 'local', userId: 'owner', modelKey: this.modelKey };
      case '/api/tickets':
        return { ticket: 'mock-ticket', expiresAt: new Date(Date.now() + 30_000).toISOString() };
      case '/api/providers':
        return { providers: Object.values(PROVIDERS) };
      case '/api/builds':
        return { builds: [MOCK_BUILD] };
      case '/api/runners':
        return { runners: this.runners };
      case '/api/runners/registrations':
        return this.#register(body);
      case '/api/sessions':
        if (request.method === 'POST') return this.#start(body, String(request.headers[IDEMPOTENCY_HEADER] ?? ''));
        return { sessions: [...this.sessions.values()].map(({ view }) => view), cursor: null };
    }
    const [, , what, sessionId = '', rest = ''] = url.pathname.split('/');
    if (what === 'runners') return this.#endRunner(sessionId, request.method === 'DELETE' ? 'revoked' : 'draining');
    return this.#session(sessionId, rest, url);
  }

  #signIn(body: unknown): unknown {
    if (JSON.stringify(body) !== '{"code":"good-code"}')
      throw new AppError('invalid_credential', 'This link was used already or is too old.');
    this.signedIn = true;
    return { tenantId: 'local', userId: 'owner', expiresAt: new Date(Date.now() + 60_000).toISOString() };
  }

  #register(body: unknown): unknown {
    const { group, name, maxSessions } = RegisterRunnerBody.parse(body);
    const runnerId = `run-${this.runners.length + 1}`;
    this.runners.push(mockRunner(runnerId, { group, name: name ?? null, capacity: maxSessions, state: 'registered' }));
    const command = `npx village-runner --url http://village --token rr.${runnerId}.secret`;
    return {
      runnerId,
      group,
      token: `rr.${runnerId}.secret`,
      expiresAt: new Date(Date.now() + 600_000).toISOString(),
      command,
      containerCommand: `podman run --rm village-runner ${command}`,
    };
  }

  #endRunner(runnerId: string, state: RunnerInfo['state']): unknown {
    const index = this.runners.findIndex((runner) => runner.runnerId === runnerId);
    const found = this.runners[index];
    if (found === undefined) throw new AppError('not_found', 'There is no such runner.');
    const runner = { ...found, state };
    this.runners[index] = runner;
    return { runner };
  }

  #start(body: unknown, key: string): unknown {
    const parsed = StartSessionBody.parse(body);
    this.starts.push({ body: parsed, key });
    const failure = this.startFailures.shift();
    if (failure !== undefined) throw failure;
    const { view } = this.add(
      {
        ...MOCK_NEW,
        sessionId: mockId('ses', 900 + this.starts.length),
        agentId: mockId('agt', 900 + this.starts.length),
        provider: parsed.provider,
        model: parsed.model,
        repository: parsed.repository,
        title: parsed.task?.title ?? parsed.prompt?.slice(0, 60) ?? 'Shell',
        createdAt: new Date().toISOString(),
        updatedAt: new Date().toISOString(),
        lastEventAt: new Date().toISOString(),
      },
      { live: false },
    );
    return { sessionId: view.sessionId, session: view };
  }

  #session(sessionId: string, rest: string, url: URL): unknown {
    const session = this.sessions.get(sessionId);
    if (session === undefined) throw new AppError('not_found', 'There is no such session.');
    switch (rest) {
      case '':
        return session.view;
      case 'events': {
        const from = Number(url.searchParams.get('fromSeq'));
        const events = session.events
          .filter((event) => event.seq >= from)
          .slice(0, Number(url.searchParams.get('limit')));
        const headSeq = session.events.at(-1)?.seq ?? 0;
        return { events, nextSeq: (events.at(-1)?.seq ?? headSeq) + 1, headSeq };
      }
      case 'diff':
        if (session.diff === null) throw new AppError('not_found', 'There is no diff yet.');
        return session.diff;
      case 'transcript':
        return {
          chunks: session.chunks.map((chunk, number) => listed(chunk, number)),
          more: false,
          head: session.view.head,
          live: session.live,
        };
      default:
        this.asked.push(`${rest} ${sessionId}`);
        session.view = { ...session.view, desired: rest === 'resume' ? 'run' : rest === 'pause' ? 'pause' : 'stop' };
        return { accepted: true, session: session.view };
    }
  }
}

const listed = (chunk: TranscriptChunk, number: number) => ({
  epoch: chunk.epoch,
  number: chunk.number,
  firstOffset: chunk.firstOffset,
  endOffset: chunk.endOffset,
  sizeBytes: 1,
  sha256: '',
  url: `/chunks/${chunk.sessionId}/${number}`,
});

const MOCK_BUILD = {
  buildId: 'claude_code-2.1.330',
  clis: { claude_code: '2.1.330' },
  runnerVersion: '0.1.0',
  taskDefinitionArn: 'arn:aws:ecs:local:000000000000:task-definition/village:1',
  status: 'ready',
  createdAt: '2026-01-01T00:00:00.000Z',
};

const MOCK_NEW: SessionView = {
  sessionId: mockId('ses', 0),
  agentId: mockId('agt', 0),
  state: 'created',
  reason: null,
  desired: 'run',
  provider: 'claude_code',
  model: 'default',
  buildId: MOCK_BUILD.buildId,
  repository: { url: '/tmp/none' },
  title: '',
  epoch: 1,
  head: { epoch: 1, offset: 0, seq: 0 },
  createdBy: 'owner',
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
  lastEventAt: '2026-01-01T00:00:00.000Z',
  startedAt: null,
  endedAt: null,
  taskArn: null,
  pool: 'hosted',
  placement: null,
  queuePosition: null,
  parked: false,
  usage: { agentMs: 0, waitingMs: 0, terminalBytes: 0, filesTouched: 0, commands: 0 },
};
