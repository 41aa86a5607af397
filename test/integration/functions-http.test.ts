import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HTTP_ROUTES } from '../../infra/topology.ts';
import { fixture } from '../unit/shared/fixtures.ts';
import { type ControlPlane, ORIGIN, startControlPlane, startedShell } from './functions-harness.ts';

const lines: string[] = [];
const writes = [process.stdout.write, process.stderr.write] as const;
/** Before any entry is loaded: its logger writes to what stands there then. */
const capture = (chunk: unknown): boolean => {
  lines.push(String(chunk));
  return true;
};

let plane: ControlPlane;
let acme = { signInCode: '', token: '' };
let other = { signInCode: '', token: '' };
let session = { sessionId: '', runnerToken: '' };

beforeAll(async () => {
  plane = await startControlPlane();
  process.stdout.write = capture;
  process.stderr.write = capture;
  acme = await plane.bootstrap('acme');
  other = await plane.bootstrap('other', 'eve');
  session = await startedShell(plane, acme.token);
});
afterAll(async () => {
  [process.stdout.write, process.stderr.write] = writes;
  await plane.stop();
});

const bodies: Readonly<Record<string, unknown>> = {
  'POST /api/signin': { code: 'acme.0' },
  'POST /api/tickets': {},
  'POST /api/builds': fixture('http', 'register-build-body'),
  'POST /api/sessions': { provider: 'shell', repository: { url: '/srv/app' } },
  'POST /api/sessions/{id}/input': { data: 'x' },
  'POST /api/runners/registrations': { group: 'lab' },
};
const call = (key: string, id: string, token?: string) => {
  const [method = '', path = ''] = key.split(' ');
  const body = method === 'GET' ? {} : { body: bodies[key] ?? {} };
  return plane.http(method, path.replace('{id}', id), { ...body, ...(token === undefined ? {} : { token }) });
};
const keys = HTTP_ROUTES.map(({ method, path }) => `${method} ${path}`);
const ofSessions = keys.filter((key) => key.includes('/sessions/{id}'));
const ofRunners = keys.filter((key) => key.includes('/runners/{id}'));
const signedIn = HTTP_ROUTES.filter(({ authorizer }) => authorizer !== null).map(
  ({ method, path }) => `${method} ${path}`,
);
const NEVER = 'ses_99999999999999999999999999';

describe('routes', () => {
  test.each(keys)('%s is answered by its function, also when there is nothing to answer', async (key) => {
    const { body } = await call(key, NEVER, acme.token);
    expect(body.message).not.toBe('There is no such path.');
  });

  test.each(HTTP_ROUTES.filter((route) => route.function === 'api'))(
    'the api function has a use-case for $method $path and says not_found to others',
    async ({ method, path }) => {
      const event = (routeKey: string) => ({
        version: '2.0',
        routeKey,
        headers: {},
        requestContext: { http: { method, path } },
      });
      expect(JSON.stringify(await plane.invoke('api', event(`${method} ${path}`)))).not.toContain('no such path');
      expect(JSON.stringify(await plane.invoke('api', event(`${method} ${path}x`)))).toContain('no such path');
    },
  );

  test.each(signedIn)('%s refuses whoever is not signed in', async (key) => {
    expect((await call(key, session.sessionId)).status).toBe(403);
    expect((await call(key, session.sessionId, 'forged')).status).toBe(403);
  });
});

describe('another tenant', () => {
  const ofBoth = (key: string, id: string) => Promise.all([call(key, id, other.token), call(key, NEVER, other.token)]);

  test.each(ofSessions)('%s: the same 404 as for a session that never was', async (key) => {
    const answers = await ofBoth(key, session.sessionId);
    expect(answers.map(({ status }) => status)).toEqual([404, 404]);
    const [foreign, never] = answers.map(({ body }) => ({ ...body, requestId: '' }));
    expect(foreign).toEqual(never);
  });

  test.each(ofRunners)('%s: the same 404 as for a runner that never was, and nothing happens to it', async (key) => {
    const registered = await call('POST /api/runners/registrations', '', acme.token);
    expect(registered.status).toBe(201);
    const id = String(registered.body.runnerId);
    const answers = await Promise.all([call(key, id, other.token), call(key, 'rnr-never', other.token)]);
    expect(answers.map(({ status }) => status)).toEqual([404, 404]);
    const [foreign, never] = answers.map(({ body }) => ({ ...body, requestId: '' }));
    expect(foreign).toEqual(never);
    const { runners } = (await call('GET /api/runners', '', acme.token)).body;
    expect(runners).toContainEqual(expect.objectContaining({ runnerId: id, state: 'registered' }));
    expect((await call(key, id, acme.token)).status).toBeLessThan(300);
  });

  test.each(ofSessions.filter((key) => key.startsWith('GET')))('%s: its own tenant reads it', async (key) => {
    expect((await call(key, session.sessionId, acme.token)).status).toBe(200);
  });

  test('nothing it may call shows anything of the first', async () => {
    for (const key of signedIn.filter((name) => name.startsWith('GET') && !name.includes('{id}'))) {
      const { status, body } = await call(key, '', other.token);
      expect(status).toBe(200);
      expect(JSON.stringify(body)).not.toContain('acme');
      expect(JSON.stringify(body)).not.toContain(session.sessionId);
    }
    const { body } = await call('GET /api/sessions/{id}', session.sessionId, acme.token);
    expect(body).toMatchObject({ state: 'created', desired: 'run' });
  });
});

describe('what does not fit', () => {
  const start = (body: unknown) => plane.http('POST', '/api/sessions', { token: acme.token, body });
  const good = { provider: 'shell', repository: { url: '/srv/app' } };

  test.each([
    [{ ...good, provider: 'cursor' }, 'provider'],
    [{ ...good, repository: { url: 'ext::sh -c x' } }, 'repository.url'],
    [{ ...good, terminal: { cols: 80, rows: 0 } }, 'terminal.rows'],
    [{ ...good, promt: 'x' }, 'promt'],
    [{ ...good, repository: { url: '/srv/app', reff: 'x' } }, 'repository.reff'],
    [[], ''],
  ])('%j is 400 with path and message', async (body, path) => {
    const answer = await start(body);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ code: 'invalid_request', path, message: expect.stringMatching(/.: ./) });
    expect(answer.body.requestId).toBeTypeOf('string');
  });

  test('a body that is not JSON, or too large, is told apart', async () => {
    const raw = (rawBody: string) => plane.http('POST', '/api/sessions', { token: acme.token, rawBody });
    expect(await raw('{"provider":')).toMatchObject({ status: 400, body: { code: 'invalid_json' } });
    expect(await raw(`{"x":"${'x'.repeat(1_048_577)}"}`)).toMatchObject({ status: 413 });
    expect(await raw('['.repeat(100_000))).toMatchObject({ status: 400 });
    expect(await raw(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)).toMatchObject({ status: 400 });
  });

  test.each(['limit=0', 'limit=x', 'state=lost', 'surprise=1'])('a list with %s is 400', async (query) => {
    expect((await plane.http('GET', `/api/sessions?${query}`, { token: acme.token })).status).toBe(400);
  });

  test.each([
    'x',
    'bm90IGpzb24',
    Buffer.from('{"pk":"T#other"}').toString('base64url'),
    Buffer.from('{"pk":{"S":5},"sk":1}').toString('base64url'),
    Buffer.from('null').toString('base64url'),
  ])('a list with a cursor that was never given (%s) is 400', async (cursor) => {
    const answer = await plane.http('GET', `/api/sessions?cursor=${cursor}`, { token: acme.token });
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request', path: 'cursor' } });
  });

  test('a cursor of another tenant shows nothing of it', async () => {
    const first = await plane.http('GET', '/api/sessions?limit=1', { token: acme.token });
    const more = await plane.http('POST', '/api/sessions', { token: acme.token, body: good });
    expect(more.status).toBe(201);
    const page = await plane.http('GET', '/api/sessions?limit=1', { token: acme.token });
    expect(page.body.cursor).toBeTypeOf('string');
    const foreign = await plane.http('GET', `/api/sessions?cursor=${page.body.cursor}`, { token: other.token });
    expect(JSON.stringify(foreign.body)).not.toContain('ses_');
    const next = await plane.http('GET', `/api/sessions?limit=1&cursor=${page.body.cursor}`, { token: acme.token });
    expect(next.body.sessions).toMatchObject(first.body.sessions as object[]);
  });

  test('an idempotency key too long is 400, used with another body 422, with the same the same session', async () => {
    const post = (key: string, body: unknown) =>
      plane.http('POST', '/api/sessions', { token: acme.token, body, headers: { 'idempotency-key': key } });
    expect(await post('k'.repeat(129), good)).toMatchObject({ status: 400, body: { path: 'idempotency-key' } });
    const first = await post('key', good);
    expect(first.status).toBe(201);
    expect((await post('key', good)).body.sessionId).toBe(first.body.sessionId);
    expect(await post('key', { ...good, prompt: 'x' })).toMatchObject({
      status: 422,
      body: { code: 'idempotency_mismatch' },
    });
  });
});

describe('signing in', () => {
  test('gives a cookie that is HttpOnly and SameSite, and signs out', async () => {
    const { signInCode } = await plane.bootstrap('acme');
    const answer = await plane.http('POST', '/api/signin', { body: { code: signInCode } });
    const [cookie = ''] = answer.cookies;
    expect(cookie).toMatch(/^village_session=[^;]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+$/);
    const [pair = ''] = cookie.split(';');
    expect(await plane.http('GET', '/api/me', { cookie: pair })).toMatchObject({
      status: 200,
      body: { tenantId: 'acme', userId: 'ada', modelKey: false },
    });
    expect((await plane.http('POST', '/api/signin', { body: { code: signInCode } })).status).toBe(401);
    expect((await plane.http('POST', '/api/signout')).cookies).toEqual([expect.stringContaining('Max-Age=0')]);
    const headers = { origin: ORIGIN };
    expect((await plane.http('POST', '/api/signin-links', { cookie: pair, headers })).body.code).toBe('forbidden');
    const build = { cookie: pair, headers, body: bodies['POST /api/builds'] };
    expect((await plane.http('POST', '/api/builds', build)).body.code).toBe('forbidden');
  });

  test('a link made on the command line signs in', async () => {
    const link = await plane.http('POST', '/api/signin-links', { token: acme.token });
    const code = String(link.body.url).split('#')[1];
    expect((await plane.http('POST', '/api/signin', { body: { code } })).status).toBe(200);
  });
});

describe('log hygiene', () => {
  test('no token, no prompt, no code stands in any line', async () => {
    const registered = await call('POST /api/runners/registrations', '', acme.token);
    expect(lines.join('')).not.toContain(registered.body.token);
    expect(lines.join('')).not.toMatch(/r[rtw]\.[\w.-]+\.[0-9a-f]{32}/);
    expect(lines.join('')).not.toContain('SECRET-PROMPT');
    for (const secret of [
      acme.token,
      acme.signInCode,
      session.runnerToken,
      ...Object.values(plane.secretValues),
    ].filter((value) => value.length > 8))
      expect(lines.join('')).not.toContain(secret);
  });

  test('an unknown error is one line with its request id; neither it nor the answer tells what was sent', async () => {
    lines.length = 0;
    plane.ecsFault.isOn = true;
    const { body, status } = await plane.http('POST', '/api/sessions', {
      token: acme.token,
      body: { provider: 'shell', repository: { url: '/srv/app' }, prompt: 'SECRET-PROMPT' },
    });
    plane.ecsFault.isOn = false;
    expect(status).toBe(500);
    expect(body).toEqual({
      code: 'internal',
      message: expect.stringContaining('try again'),
      requestId: expect.any(String),
    });
    const logged = lines.filter((line) => line.includes('unexpected error'));
    expect(logged).toHaveLength(1);
    expect(JSON.parse(logged[0] ?? '')).toMatchObject({ level: 'ERROR', requestId: body.requestId });
    const sent = JSON.stringify(plane.ecsCalls.at(-1));
    const token = /rt\.acme\.[\w.]+/.exec(sent)?.[0] ?? '';
    expect(token.length).toBeGreaterThan(60);
    expect(lines.join('')).not.toContain(token);
    expect(lines.join('')).not.toContain('SECRET-PROMPT');
  });
});
