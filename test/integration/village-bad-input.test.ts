/** What bad input gets from a real village: a reason and a hint in time, nothing left behind, and no word about what is not yours. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { jwtSigner } from '../../functions/signing.ts';
import { systemClock } from '../../shared/clock.ts';
import { ControlToViewerFrame, TICKET_SUBPROTOCOL_PREFIX, VIEWER_SUBPROTOCOL } from '../../shared/frames.ts';
import { EventPage, SessionStarted, Ticket } from '../../shared/http.ts';
import { FRAME_MAX_BYTES } from '../../shared/limits.ts';
import { isFinal, SessionView } from '../../shared/session.ts';
import { type TestVillage, testVillage, until } from '../fakes/village.ts';

const FAILED_WITHIN_MS = 10_000;
const unknownId = 'ses_01M817YGBJPH11SXYBGPEAJZ4X';
const HOUR_SEC = 3_600;

let village: TestVillage;
let git: Server;
beforeAll(async () => {
  village = testVillage();
  git = createServer((_request, response) => {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end('no');
  });
  await new Promise<void>((resolve) => git.listen(0, '127.0.0.1', resolve));
  await village.start();
});
afterAll(async () => {
  git.close();
  await village.close();
});

const start = async (body: object): Promise<string> => {
  const answer = await village.api('POST', '/api/sessions', body);
  return SessionStarted.parse(answer.body).sessionId;
};
const view = async (sessionId: string): Promise<SessionView> =>
  SessionView.parse((await village.api('GET', `/api/sessions/${sessionId}`)).body);
const ended = async (sessionId: string): Promise<SessionView> => {
  let last = '';
  return until(
    `the end of ${sessionId}`,
    async () => {
      const seen = await view(sessionId);
      last = JSON.stringify({ ...seen, events: (await eventsOf(sessionId)).map(({ type, ts }) => [type, ts]) });
      return isFinal(seen.state) ? seen : undefined;
    },
    60_000,
    () => `${last}\n${village.taskLogs()}`,
  );
};
const workspaces = (): string[] => {
  const folder = join(village.dataDir, 'runner', 'workspaces');
  return existsSync(folder) ? readdirSync(folder) : [];
};
const eventsOf = async (sessionId: string) =>
  EventPage.parse((await village.api('GET', `/api/sessions/${sessionId}/events?limit=1000`)).body).events;
const isGone = (sessionId: string) =>
  until(`the processes of ${sessionId}`, () =>
    village.processes().some(({ command }) => command.includes('pty-host') || command.includes('.bin/claude'))
      ? undefined
      : true,
  );

describe('a repository that cannot be had', () => {
  const rows = [
    ['does not exist', () => ({ url: join(village.root, 'nowhere') }), 'repository_not_found'],
    ['is a folder without a repository', () => ({ url: join(village.root, 'empty') }), 'repository_not_found'],
    ['has no such branch', () => ({ url: village.repository('plain'), ref: 'no-such-branch' }), 'ref_not_found'],
    ['refuses access', () => ({ url: `http://127.0.0.1:${port(git)}/private.git` }), 'access_denied'],
  ] as const;

  it.each(rows)(
    '%s: the session fails in time, with a reason and a hint, and its workspace is gone',
    async (_, of, code) => {
      mkdirSync(join(village.root, 'empty'), { recursive: true });
      const sessionId = await start({ provider: 'shell', repository: of() });
      const failed = await ended(sessionId);
      expect(failed).toMatchObject({
        state: 'failed',
        reason: { code, message: expect.any(String), hint: expect.any(String), step: 'preparing_workspace' },
      });
      const events = await eventsOf(sessionId);
      const tookMs = (events.at(-1)?.ts ?? 0) - (events.find(({ type }) => type === 'workspace_preparing')?.ts ?? 0);
      expect(tookMs).toBeGreaterThan(0);
      expect(tookMs).toBeLessThan(FAILED_WITHIN_MS);
      expect(workspaces()).toEqual([]);
      await isGone(sessionId);
    },
  );
});

const port = (server: Server): number => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return address.port;
};

describe('a build whose CLI does not work', () => {
  const fake = (version: string, rest: string) =>
    village.addFakeClaude(
      version,
      `#!/bin/sh\ncase "$*" in --version) echo "${version} (Claude Code)"; exit 0;; esac\n${rest}\n`,
    );
  const startOn = async (version: string, spoil?: (file: string) => void, rest = 'exit 0'): Promise<SessionView> => {
    const file = fake(version, rest);
    const added = await village.command('builds', 'add', `claude_code@${version}`);
    expect(added.code).toBe(0);
    spoil?.(file);
    const sessionId = await start({
      provider: 'claude_code',
      model: 'scripted',
      scenario: { turns: [{ steps: [{ say: 'never said' }] }] },
      prompt: 'never taken',
      repository: { url: village.repository(`build-${version}`) },
      buildId: `claude_code-${version}`,
    });
    return ended(sessionId);
  };

  it('is missing, ends at once, or lets no hook report in: failed with what a person needs to see', async () => {
    const [missing, locked, exits, hookless] = await Promise.all([
      startOn('9.0.1', (file) => rmSync(file)),
      startOn('9.0.2', (file) => chmodSync(file, 0o644)),
      startOn('9.0.3', undefined, 'echo "the licence of this fake has expired"; exit 3'),
      startOn('9.0.4', undefined, 'echo "no hook will ever be called"; exec cat'),
    ]);
    expect(missing).toMatchObject({ state: 'failed', reason: { code: 'cli_missing', step: 'starting_provider' } });
    expect(locked).toMatchObject({ state: 'failed', reason: { code: 'cli_missing', hint: expect.any(String) } });
    expect(exits).toMatchObject({
      state: 'failed',
      reason: { code: 'provider_exited', message: expect.stringContaining('3'), hint: expect.any(String) },
    });
    expect(exits.reason?.lastScreen).toContain('the licence of this fake has expired');
    expect(hookless).toMatchObject({ state: 'failed', reason: { code: 'gate_unproven', step: 'proving_gate' } });
    expect(hookless.reason?.lastScreen).toContain('no hook will ever be called');
    for (const { sessionId } of [missing, locked, exits, hookless]) {
      // A session whose gate was never proven is never given its prompt.
      expect((await eventsOf(sessionId)).map(({ type }) => type)).not.toContain('input_received');
    }
    expect(workspaces()).toEqual([]);
    await isGone(hookless.sessionId);
  });
});

describe('a request that does not fit', () => {
  it('is answered 400 with path and message, and starts nothing', async () => {
    const repository = { url: '/somewhere' };
    const rows: [unknown, string, string | undefined][] = [
      [{ provider: 'shell', repository: { url: 'not a repository' } }, 'invalid_request', 'repository.url'],
      [{ provider: 'nobody', repository }, 'invalid_request', 'provider'],
      [{ provider: 'shell' }, 'invalid_request', 'repository'],
      [{ provider: 'claude_code', model: 'scripted', repository }, 'invalid_request', 'scenario'],
      [
        { provider: 'shell', repository: { ...repository, ref: '--upload-pack=x' } },
        'invalid_request',
        'repository.ref',
      ],
      [
        { provider: 'shell', repository: { ...repository, roomPath: '../x' } },
        'invalid_request',
        'repository.roomPath',
      ],
      ['{"provider":', 'invalid_json', undefined],
    ];
    for (const [body, code, path] of rows) {
      const answer = await village.api('POST', '/api/sessions', body);
      expect([body, answer.status]).toEqual([body, 400]);
      expect(answer.body).toMatchObject({ code, message: expect.stringMatching(/\S/), requestId: expect.any(String) });
      expect(answer.body).toMatchObject(path === undefined ? {} : { path });
    }
    const surplus = await village.api('POST', '/api/sessions', { provider: 'shell', repository, surplus: 1 });
    expect([surplus.status, JSON.stringify(surplus.body)]).toEqual([400, expect.stringContaining('surplus')]);
  });
});

/** A token of a user of another tenant, signed as the control plane signs: with the key in the operator's file. */
const strangersToken = (): Promise<string> => {
  const File = z.object({
    secrets: z.array(z.object({ name: z.string(), versions: z.array(z.object({ text: z.string() })) })),
  });
  const { secrets } = File.parse(JSON.parse(readFileSync(join(village.dataDir, 'secrets.json'), 'utf8')));
  const key = secrets.find(({ name }) => name === 'village/signing-key')?.versions.at(-1)?.text ?? '';
  const signer = jwtSigner({ key: async () => new TextEncoder().encode(key), clock: systemClock });
  const expSec = Math.floor(systemClock.nowMs() / 1_000) + HOUR_SEC;
  return signer.sign({ kind: 'user', tenantId: 'other', userId: 'them', expSec, client: 'cli' });
};

interface Viewer {
  readonly frames: ControlToViewerFrame[];
  readonly closed: Promise<number>;
  send(data: string | Buffer): void;
  next(type: ControlToViewerFrame['type']): Promise<ControlToViewerFrame>;
  close(): void;
}
const viewer = async (token?: string): Promise<Viewer> => {
  const { ticket } = Ticket.parse((await village.api('POST', '/api/tickets', {}, token)).body);
  const protocols = [VIEWER_SUBPROTOCOL, TICKET_SUBPROTOCOL_PREFIX + ticket];
  const socket = new WebSocket(`${village.endpoint().url.replace('http', 'ws')}/ws/viewer`, protocols);
  const frames: ControlToViewerFrame[] = [];
  socket.on('message', (text) => frames.push(ControlToViewerFrame.parse(JSON.parse(String(text)))));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  return {
    frames,
    closed,
    send: (data) => socket.send(data),
    next: (type) => until(`a frame ${type}`, () => frames.find((frame) => frame.type === type)),
    close: () => socket.close(),
  };
};
const attachTo = (sessionId: string): string =>
  JSON.stringify({ type: 'attach', sessionId, viewerId: 'viewer-of-a-test', mode: 'control', cols: 80, rows: 24 });

describe('what is unknown, and what is another’s', () => {
  it('is the same 404 everywhere', async () => {
    const sessionId = await start({ provider: 'shell', repository: { url: village.repository('mine') } });
    const token = await strangersToken();
    expect((await village.api('GET', '/api/sessions', undefined, token)).body).toMatchObject({ sessions: [] });
    const withoutId = ({ status, body }: { status: number; body: unknown }, id: string) => [
      status,
      JSON.stringify({ ...z.record(z.string(), z.unknown()).parse(body), requestId: '' }).replaceAll(id, '<id>'),
    ];
    const routes: [string, string, unknown?][] = [
      ['GET', ''],
      ['GET', '/events'],
      ['GET', '/diff'],
      ['GET', '/transcript'],
      ['POST', '/input', { data: 'x' }],
      ['POST', '/stop', {}],
      ['POST', '/pause', {}],
      ['POST', '/resume', {}],
    ];
    for (const [method, path, body] of routes) {
      const theirs = await village.api(method, `/api/sessions/${sessionId}${path}`, body, token);
      const unknown = await village.api(method, `/api/sessions/${unknownId}${path}`, body);
      expect([method, path, theirs.status]).toEqual([method, path, 404]);
      expect(withoutId(theirs, sessionId)).toEqual(withoutId(unknown, unknownId));
    }
    const [stranger, owner] = await Promise.all([viewer(token), viewer()]);
    stranger.send(attachTo(sessionId));
    owner.send(attachTo(unknownId));
    const [refused, missing] = await Promise.all([stranger.next('error'), owner.next('error')]);
    expect(refused).toMatchObject({ code: 'not_found' });
    const { requestId: _one, sessionId: _two, ...seen } = { sessionId: '', requestId: '', ...refused };
    expect(missing).toMatchObject(seen);
    stranger.close();
    owner.close();
    // Nothing of what the stranger asked reached it.
    expect((await view(sessionId)).desired).toBe('run');
    await village.api('POST', `/api/sessions/${sessionId}/stop`, {});
    expect((await ended(sessionId)).state).toBe('completed');
  });
});

describe('frames that are none', () => {
  it('are answered as the protocol says: an error frame for what can be read, a close for what cannot', async () => {
    const good = await viewer();
    for (const [text, code] of [
      ['this is not JSON', 'invalid_frame'],
      ['[1,2]', 'invalid_frame'],
      ['{"type":"sing"}', 'unknown_frame'],
      ['{"type":"attach"}', 'invalid_frame'],
    ] as const) {
      const before = good.frames.length;
      good.send(text);
      const answer = await until(`an answer to ${text}`, () =>
        good.frames.slice(before).find(({ type }) => type === 'error'),
      );
      expect(answer).toMatchObject({ code, message: expect.stringMatching(/\S/), requestId: expect.any(String) });
    }
    // The line is still good.
    good.send(JSON.stringify({ type: 'ping', ts: 1, attached: [] }));
    await good.next('pong');
    good.send(JSON.stringify({ type: 'ping', pad: 'x'.repeat(FRAME_MAX_BYTES) }));
    expect(await good.closed).toBe(1009);
    const binary = await viewer();
    binary.send(Buffer.from('{"type":"ping"}'));
    expect(await binary.closed).toBe(1003);
  });
});
