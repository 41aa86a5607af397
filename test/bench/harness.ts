/** What every bench needs: a village of its own in a child process, a raw viewer, children that die with the bench, and honest numbers. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { ControlToViewerFrame, TICKET_SUBPROTOCOL_PREFIX, VIEWER_SUBPROTOCOL } from '../../shared/frames.ts';
import { EndpointFile, SessionStarted, Ticket } from '../../shared/http.ts';
import { SessionView, type StreamAddress } from '../../shared/session.ts';

export const ROOT = path.resolve(import.meta.dirname, '../..');
const READY_TIMEOUT_MS = 60_000;
const COMPLAINT_MAX_CHARS = 4_000;

export interface Summary {
  readonly n: number;
  readonly p50: number;
  readonly p99: number;
}
/** Milliseconds, to a hundredth. */
export const summarise = (valuesMs: readonly number[]): Summary => {
  const sorted = [...valuesMs].sort((a, b) => a - b);
  const at = (share: number) =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN) * 100) / 100;
  return { n: sorted.length, p50: at(0.5), p99: at(0.99) };
};

export const commit = (): string =>
  execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim();

const children: ChildProcess[] = [];
/** A child with stdio of its own, ended by `endAll` and by the end of its standard input. */
export const child = (command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildProcess => {
  const started = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'pipe'], env, cwd: ROOT });
  started.stderr?.resume();
  children.push(started);
  return started;
};
export const endAll = async (): Promise<void> => {
  await Promise.all(
    children.splice(0).map(async (started) => {
      if (started.exitCode !== null || started.signalCode !== null) return;
      const exited = new Promise((resolve) => started.once('exit', resolve));
      started.kill('SIGTERM');
      await Promise.race([exited, delay(10_000).then(() => started.kill('SIGKILL'))]);
    }),
  );
};

export const firstLine = (started: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    started.stdout?.once('data', (data: Buffer) => resolve(data.toString().trim()));
    started.once('exit', (code) => reject(new Error(`child ended with ${code} before it was ready`)));
  });

export const until = async <T>(
  what: string,
  ask: () => Promise<T | undefined>,
  timeoutMs = READY_TIMEOUT_MS,
): Promise<T> => {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask().catch(() => undefined);
    if (answer !== undefined) return answer;
    if (performance.now() > deadlineMs) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await delay(10);
  }
};

export interface Village {
  readonly url: string;
  readonly pid: number;
  readonly readyMs: number;
  readonly dir: string;
  readonly repository: string;
  readonly token: string;
  get(pathname: string): Promise<unknown>;
  post(pathname: string, body: unknown): Promise<unknown>;
}

const makeRepository = (dir: string): string => {
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=bench', '-c', 'user.email=bench@example.invalid', ...args], {
      cwd: dir,
      stdio: 'ignore',
    });
  execFileSync('mkdir', ['-p', dir]);
  git('init', '-q', '-b', 'main');
  git('commit', '-q', '--allow-empty', '-m', 'first');
  return dir;
};

export const startVillage = async (): Promise<Village & { close: () => Promise<void> }> => {
  const dir = await mkdtemp(path.join(tmpdir(), 'village-bench-'));
  const startedMs = performance.now();
  const { ANTHROPIC_API_KEY: _key, ...env } = process.env;
  const started = child(
    process.execPath,
    ['local/main.ts', '--port', '0', '--data-dir', path.join(dir, 'data'), '--no-open'],
    env,
  );
  started.stdout?.resume();
  let complaint = '';
  started.stderr?.on('data', (data: Buffer) => {
    complaint = (complaint + data.toString()).slice(-COMPLAINT_MAX_CHARS);
  });
  const died = new Promise<never>((_, reject) =>
    started.once('exit', (code) => reject(new Error(`the village ended with ${code}: ${complaint}`))),
  );
  // Lost to the race below once the village is ready: its end is then the bench's own doing.
  died.catch(() => {});
  const file = path.join(dir, 'data', 'endpoint.json');
  const endpoint = await Promise.race([
    died,
    until('the village', async () => EndpointFile.parse(JSON.parse(await readFile(file, 'utf8')))),
  ]);
  const call = async (method: string, pathname: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(endpoint.url + pathname, {
      method,
      headers: { authorization: `Bearer ${endpoint.token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${method} ${pathname}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  };
  return {
    url: endpoint.url,
    token: endpoint.token,
    pid: started.pid ?? 0,
    readyMs: performance.now() - startedMs,
    dir,
    repository: makeRepository(path.join(dir, 'repository')),
    get: (pathname) => call('GET', pathname),
    post: (pathname, body) => call('POST', pathname, body),
    close: async () => {
      await endAll();
      await rm(dir, { recursive: true, force: true });
    },
  };
};

export const startShell = async (village: Village): Promise<string> =>
  SessionStarted.parse(
    await village.post('/api/sessions', { provider: 'shell', repository: { url: village.repository } }),
  ).sessionId;

export const untilState = (village: Village, sessionId: string, state: string): Promise<SessionView> =>
  until(`state ${state}`, async () => {
    const view = SessionView.parse(await village.get(`/api/sessions/${sessionId}`));
    if (view.state === 'failed') throw new Error(JSON.stringify(view.reason));
    return view.state === state ? view : undefined;
  });

export interface RawViewer {
  readonly attached: Extract<ControlToViewerFrame, { type: 'attached' }>;
  onFrame: (frame: ControlToViewerFrame) => void;
  /** Set, messages go here as they come and are not parsed: a hundred viewers in one process would measure the parser. */
  onText: ((text: string) => void) | null;
  send(frame: object): void;
  type(data: string): void;
  close(): void;
}

/** A viewer without comfort: sockets and frames, so that a bench measures the village and not a client. */
export const attachRaw = async (
  village: Village,
  sessionId: string,
  mode: 'control' | 'watch' = 'control',
  size = { cols: 120, rows: 32 },
  from?: StreamAddress,
): Promise<RawViewer> => {
  const { ticket } = Ticket.parse(await village.post('/api/tickets', {}));
  const socket = new WebSocket(
    `${village.url.replace('http', 'ws')}/ws/viewer`,
    [VIEWER_SUBPROTOCOL, TICKET_SUBPROTOCOL_PREFIX + ticket],
    { perMessageDeflate: false },
  );
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const viewerId = `bench-${sessionId.slice(-8)}-${Math.floor(performance.now() * 1_000)}`;
  const early: ControlToViewerFrame[] = [];
  const arrived = Promise.withResolvers<RawViewer['attached']>();
  let viewer: RawViewer | undefined;
  socket.on('message', (text) => {
    if (viewer?.onText) {
      viewer.onText(text.toString());
      return;
    }
    const frame = ControlToViewerFrame.parse(JSON.parse(text.toString()));
    if (frame.type === 'attached') arrived.resolve(frame);
    else if (frame.type === 'error') arrived.reject(new Error(frame.message));
    if (viewer === undefined) early.push(frame);
    else viewer.onFrame(frame);
  });
  socket.send(
    JSON.stringify({ type: 'attach', sessionId, viewerId, mode, takeOver: mode === 'control', from, ...size }),
  );
  const attached = await arrived.promise;
  let inputSeq = 0;
  const send = (frame: object) => socket.send(JSON.stringify(frame));
  const made: RawViewer = {
    attached,
    onFrame: () => {},
    onText: null,
    send,
    type: (data) => {
      inputSeq += 1;
      send({
        type: 'input',
        sessionId,
        viewerId,
        view: attached.view,
        controlTerm: attached.controlTerm,
        inputSeq,
        data,
      });
    },
    close: () => socket.close(),
  };
  // After whoever awaits us has set its `onFrame`.
  setImmediate(() => {
    viewer = made;
    for (const frame of early) made.onFrame(frame);
  });
  return made;
};
