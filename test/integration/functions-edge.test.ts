import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { NEXT_CREDENTIAL_HEADER, TICKET_SUBPROTOCOL_PREFIX, VIEWER_SUBPROTOCOL } from '../../shared/frames.ts';
import { nextRunnerCredential } from '../../shared/runner-credential.ts';
import { type ControlPlane, ORIGIN, startControlPlane, startedShell } from './functions-harness.ts';

/** An operator's mistake: the key itself instead of JSON that names it. */
const RAW_KEY = 'sk-ant-api03-SECRET';
const lines: string[] = [];
const writes = [process.stdout.write, process.stderr.write] as const;
const capture = (chunk: unknown): boolean => {
  lines.push(String(chunk));
  return true;
};

let plane: ControlPlane;
let edge: Record<string, string> = {};
let token = '';
let cookie = '';

beforeAll(async () => {
  plane = await startControlPlane({ REQUIRE_ORIGIN_SECRET: 'true' }, RAW_KEY);
  process.stdout.write = capture;
  process.stderr.write = capture;
  edge = { 'x-origin-secret': plane.secretValues['origin-secret'] ?? '' };
  const ways = await plane.bootstrap('acme', 'ada', ['anthropic']);
  token = ways.token;
  const signedIn = await plane.http('POST', '/api/signin', { headers: edge, body: { code: ways.signInCode } });
  cookie = signedIn.cookies[0]?.split(';')[0] ?? '';
});
afterAll(async () => {
  [process.stdout.write, process.stderr.write] = writes;
  await plane.stop();
});

const me = async (request: { token?: string; cookie?: string; headers?: Record<string, string> }) =>
  (await plane.http('GET', '/api/me', { ...request, headers: { ...edge, ...request.headers } })).status;

describe('the HTTP authorizer', () => {
  test('takes a bearer, and a cookie', async () => {
    expect(await me({ token })).toBe(200);
    expect(await me({ cookie })).toBe(200);
    expect(await me({ headers: { cookie: `theme=dark; ${cookie}` } })).toBe(200);
    expect(await me({ headers: { Authorization: `Bearer ${token}` } })).toBe(200);
  });

  test.each([
    ['nothing', () => ({})],
    ['an empty cookie', () => ({ cookie: 'village_session=' })],
    ['another cookie', () => ({ cookie: `other=${token}` })],
    ['a forged bearer', () => ({ token: `${token.slice(0, -3)}abc` })],
    ['a bearer of no signature', () => ({ token: `${token.split('.').slice(0, 2).join('.')}.` })],
    ['basic credentials', () => ({ headers: { authorization: `Basic ${token}` } })],
    ['the cookie’s token as bearer', () => ({ token: cookie.slice('village_session='.length) })],
    ['the bearer’s token as cookie', () => ({ cookie: `village_session=${token}` })],
  ])('refuses %s', async (_name, request) => {
    expect(await me(request())).toBe(403);
  });

  test('a cookie changes something from our own page only', async () => {
    const ask = async (headers: Record<string, string>) =>
      (await plane.http('POST', '/api/tickets', { cookie, headers: { ...edge, ...headers }, body: {} })).body.code;
    expect(await ask({})).toBe('origin_not_allowed');
    expect(await ask({ Origin: 'http://127.0.0.1:4311' })).toBe('origin_not_allowed');
    expect(await ask({ Origin: ORIGIN })).toBeUndefined();
  });

  test.each([undefined, '', 'wrong', 'x'.repeat(64)])(
    'refuses what did not come through the edge (%s)',
    async (secret) => {
      const headers: Record<string, string> = secret === undefined ? {} : { 'x-origin-secret': secret };
      expect((await plane.http('GET', '/api/me', { token, headers })).status).toBe(403);
      expect((await plane.http('GET', '/api/health', { headers })).status).toBe(403);
    },
  );
});

const ticket = async (): Promise<string> => {
  const answer = await plane.http('POST', '/api/tickets', { cookie, headers: { ...edge, Origin: ORIGIN }, body: {} });
  return z.object({ ticket: z.string() }).parse(answer.body).ticket;
};
const viewerHeaders = (value: string, over: Record<string, string> = {}) => ({
  ...edge,
  Origin: ORIGIN,
  'Sec-WebSocket-Protocol': `${VIEWER_SUBPROTOCOL}, ${TICKET_SUBPROTOCOL_PREFIX}${value}`,
  ...over,
});

describe('the viewer authorizer', () => {
  test('redeems a ticket once, and echoes the subprotocol', async () => {
    const headers = viewerHeaders(await ticket());
    expect(await plane.connect('viewer', headers)).toMatchObject({
      protocol: VIEWER_SUBPROTOCOL,
      authorizer: { tenantId: 'acme', userId: 'ada' },
    });
    expect(await plane.connect('viewer', headers)).toBeNull();
  });

  test('of many parallel redeems lets one in', async () => {
    const headers = viewerHeaders(await ticket());
    const connections = await Promise.all(Array.from({ length: 20 }, () => plane.connect('viewer', headers)));
    expect(connections.filter((connection) => connection !== null)).toHaveLength(1);
  });

  test.each([
    ['another origin', { Origin: 'https://evil.test' }],
    ['no edge', { 'x-origin-secret': 'wrong' }],
    ['no ticket', { 'Sec-WebSocket-Protocol': VIEWER_SUBPROTOCOL }],
    ['no subprotocol', { 'Sec-WebSocket-Protocol': '' }],
    ['a made-up ticket', { 'Sec-WebSocket-Protocol': `${VIEWER_SUBPROTOCOL}, ticket.acme.${'0'.repeat(48)}` }],
    ['a bearer as ticket', { 'Sec-WebSocket-Protocol': `${VIEWER_SUBPROTOCOL}, ticket.abc` }],
  ])('refuses %s', async (_name, over) => {
    expect(await plane.connect('viewer', viewerHeaders(await ticket(), over))).toBeNull();
  });
});

describe('the runner authorizer', () => {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const dial = (credential: string, next: string, over: Record<string, string> = {}) =>
    plane.connect('runner', {
      ...edge,
      Authorization: `Bearer ${credential}`,
      [NEXT_CREDENTIAL_HEADER]: sha256(next),
      ...over,
    });
  const started = async () => {
    const calls = plane.ecsCalls.length;
    const headers = { ...edge };
    const http: ControlPlane['http'] = (method, target, request = {}) =>
      plane.http(method, target, { ...request, headers: { ...headers, ...request.headers } });
    const session = await startedShell({ ...plane, http }, token);
    expect(plane.ecsCalls.length).toBe(calls + 1);
    return session;
  };

  test('exchanges the one-use token for what the runner will use next', async () => {
    const { runnerToken, sessionId } = await started();
    const second = nextRunnerCredential(runnerToken, 'b'.repeat(64));
    const third = nextRunnerCredential(runnerToken, 'c'.repeat(64));
    expect(await dial(runnerToken, second)).toMatchObject({ authorizer: { tenantId: 'acme', sessionId, epoch: '1' } });
    /** A lost answer: the same dial again. */
    expect(await dial(runnerToken, second)).not.toBeNull();
    expect(await dial(runnerToken, third)).toBeNull();
    expect(await dial(second, third)).not.toBeNull();
    expect(await dial(runnerToken, second)).toBeNull();
  });

  test.each([
    ['no edge', { 'x-origin-secret': 'wrong' }],
    ['no next credential', { [NEXT_CREDENTIAL_HEADER]: '' }],
    ['a next credential that is no hash', { [NEXT_CREDENTIAL_HEADER]: 'abc' }],
    ['no bearer', { Authorization: 'none' }],
    ['a person’s token', { Authorization: 'Bearer USER' }],
  ])('refuses %s, and does not use the token up', async (_name, over) => {
    const { runnerToken } = await started();
    const changed = Object.fromEntries(
      Object.entries(over).map(([name, value]) => [name, value.replace('USER', token)]),
    );
    const second = nextRunnerCredential(runnerToken, 'b'.repeat(64));
    expect(await dial(runnerToken, second, changed)).toBeNull();
    expect(await dial(runnerToken, second)).not.toBeNull();
  });

  test('refuses the token of another session’s name', async () => {
    const [one, two] = [await started(), await started()];
    const secret = one.runnerToken.split('.').at(-1) ?? '';
    const mixed = nextRunnerCredential(two.runnerToken, secret);
    expect(await dial(mixed, nextRunnerCredential(mixed, 'b'.repeat(64)))).toBeNull();
  });
});

test('a model key that is not written as it should be is an error that does not tell the key', async () => {
  const headers = { ...edge };
  await plane.http('POST', '/api/builds', {
    token,
    headers,
    body: { buildId: 'cc', spec: 'claude_code@2.1.330', taskDefinitionArn: 'arn:td:2', runnerVersion: '0.1.0' },
  });
  const session = await plane.http('POST', '/api/sessions', {
    token,
    headers,
    body: { provider: 'claude_code', repository: { url: '/srv/app' }, prompt: 'x' },
  });
  expect(session.status).toBe(201);
  const environment = JSON.stringify(plane.ecsCalls.at(-1)?.input);
  const credential = /rt\.acme\.[\w.]+/.exec(environment)?.[0] ?? '';
  const connection = await plane.connect('runner', {
    ...edge,
    authorization: `Bearer ${credential}`,
    [NEXT_CREDENTIAL_HEADER]: 'd'.repeat(64),
  });
  if (connection === null) throw new Error('not connected');
  await plane.send('runner', connection, {
    type: 'hello',
    runnerId: 'r1',
    runnerVersion: '0.1.0',
    buildId: 'cc',
    protocol: 1,
    dial: 1,
    clis: {},
    isolation: 'own_uid',
    sessions: [],
  });
  const assign = plane.posts.at(-1)?.frame;
  expect(assign?.type).toBe('assign');
  lines.length = 0;
  const answer = await plane.http('POST', '/api/runner/credentials', { headers, token: String(assign?.capability) });
  expect(answer).toMatchObject({ status: 500, body: { code: 'internal' } });
  expect(lines.join('')).toContain('unexpected error');
  expect(lines.join('')).not.toContain(RAW_KEY.slice(0, 8));
  expect(JSON.stringify(answer.body)).not.toContain('sk-ant');
});
