import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { apiUrl, parseConfig, RUNNER_SETTINGS, runnerSocketUrl } from '../../../../runner-image/src/config.ts';
import { createLog, formatLine } from '../../../../runner-image/src/log.ts';
import { systemClock } from '../../../../shared/clock.ts';

const SECRET = 'f'.repeat(64);
const TOKEN = `rt.local.ses_01J0000000000000000000000A.1.${SECRET}`;
const good = {
  CONTROL_PLANE_URL: 'http://127.0.0.1:4310',
  CONTROL_PLANE_TOKEN: TOKEN,
  VILLAGE_PTY_SOCKET: '/tmp/x/pty.sock',
};
const parse = (env: Record<string, string | undefined>) => parseConfig(env, () => 'runner-1');

describe('parseConfig', () => {
  it('fills in defaults, also for empty values', () => {
    const parsed = parse({ ...good, LOG_LEVEL: '', METRICS_ENABLED: 'true' });
    expect(parsed).toMatchObject({
      kind: 'ok',
      config: {
        RUNNER_ID: 'runner-1',
        LOG_LEVEL: 'info',
        METRICS_ENABLED: true,
        USAGE_TICK_INTERVAL_MS: 30_000,
        MAX_CONCURRENT_SESSIONS: 1,
      },
    });
  });

  it.each([
    [{ CONTROL_PLANE_TOKEN: undefined }, 'CONTROL_PLANE_TOKEN is not set'],
    [{ CONTROL_PLANE_URL: 'ftp://x' }, 'CONTROL_PLANE_URL is not usable: must be an http(s) or ws(s) address'],
    [{ USAGE_TICK_INTERVAL_MS: '60000' }, 'USAGE_TICK_INTERVAL_MS is not usable: '],
    [{ USAGE_TICK_INTERVAL_MS: 'soon' }, 'USAGE_TICK_INTERVAL_MS is not usable: '],
    [{ SENTRY_DSN: 'https://o1.example/7' }, 'SENTRY_DSN is not usable: must be https://<key>@<host>/<project number>'],
    [{ SENTRY_DSN: 'ftp://key@o1.example/7' }, 'SENTRY_DSN is not usable: '],
    [{ SENTRY_DSN: 'https://key@o1.example/' }, 'SENTRY_DSN is not usable: '],
    [
      { MAX_CONCURRENT_SESSIONS: '2' },
      'MAX_CONCURRENT_SESSIONS is not usable: this token serves one session; register a runner to hold several',
    ],
    [{ MAX_CONCURRENT_SESSIONS: '0' }, 'MAX_CONCURRENT_SESSIONS is not usable: '],
    [
      { MAX_CONCURRENT_SESSIONS: '33', CONTROL_PLANE_TOKEN: `rr.local.rnr_1.${SECRET}` },
      'MAX_CONCURRENT_SESSIONS is not usable: ',
    ],
    [
      { CONTROL_PLANE_TOKEN: 'mistyped' },
      'CONTROL_PLANE_TOKEN is not usable: must be a token of a runner: copy it as it was printed',
    ],
    [{ METRICS_ENABLED: 'yes' }, 'METRICS_ENABLED is not usable: '],
    [{ WORKSPACE_ROOT: 'relative' }, 'WORKSPACE_ROOT is not usable: must be an absolute path'],
  ])('says in one line what is wrong with %o', (change, line) => {
    const parsed = parse({ ...good, ...change });
    expect(parsed).toMatchObject({ kind: 'bad', lines: [expect.stringContaining(line)] });
  });

  it.each([
    [`rr.local.rnr_1.${SECRET}`, '4', { kind: 'group', tenantId: 'local', runnerId: 'rnr_1' }],
    [`rw.rnr_2.${SECRET}`, '1', { kind: 'warm', runnerId: 'rnr_2' }],
  ])('a runner that stays has the name of its token: %s', (CONTROL_PLANE_TOKEN, MAX_CONCURRENT_SESSIONS, principal) => {
    const parsed = parse({ ...good, CONTROL_PLANE_TOKEN, MAX_CONCURRENT_SESSIONS, RUNNER_ID: 'other' });
    expect(parsed).toMatchObject({ kind: 'ok', config: { principal, RUNNER_ID: principal.runnerId } });
  });

  it('keeps the state folder over restarts under one pty-host', () => {
    const [one, same, other] = [good, good, { ...good, VILLAGE_PTY_SOCKET: '/tmp/y/pty.sock' }].map((env) => {
      const parsed = parse(env);
      return parsed.kind === 'ok' ? parsed.config.VILLAGE_STATE_DIR : parsed;
    });
    expect(one).toBe(same);
    expect(one).not.toBe(other);
  });

  it('is documented in one table that names exactly its variables', () => {
    const text = readFileSync(new URL('../../../../docs/developer/configuration.md', import.meta.url), 'utf8');
    const [ofRunner = ''] = text.split('\n## The control plane');
    const rows = [...ofRunner.matchAll(/^\| `([A-Z_]+)` \|.*\| (.+) \|$/gm)].map((row) => [row[1], row[2]]);
    expect(rows).toEqual(Object.entries(RUNNER_SETTINGS).map(([name, { about }]) => [name, about]));
  });
});

describe('addresses', () => {
  it.each([
    ['http://127.0.0.1:4310', 'ws://127.0.0.1:4310/ws/runner', 'http://127.0.0.1:4310/api/x'],
    ['https://v.example/', 'wss://v.example/ws/runner', 'https://v.example/api/x'],
    ['wss://v.example/base', 'wss://v.example/base/ws/runner', 'https://v.example/base/api/x'],
  ])('of %s', (origin, socket, api) => {
    expect(runnerSocketUrl(origin)).toBe(socket);
    expect(apiUrl(origin, '/api/x')).toBe(api);
  });
});

describe('log', () => {
  it('is one line whatever it is given', () => {
    const line = formatLine(0, 'info', 'a\nb\u2028c\u0085d\u001b[2J', { text: 'x\r\ny\u009bz' });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is what is tested
    expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
    expect(JSON.parse(line)).toMatchObject({ message: 'a\nb\u2028c\u0085d\u001b[2J', text: 'x\r\ny\u009bz' });
  });

  it('hides what is named like a secret, at every depth', () => {
    const line = formatLine(0, 'info', 'm', { token: 'T1', inner: { capability: 'T2', apiKey: 'T3', ok: 'yes' } });
    expect(line).not.toMatch(/T[123]/);
    expect(line).toContain('yes');
  });

  it('hands errors on, also those below its level, without their fields', () => {
    const seen: unknown[] = [];
    const onError = (...error: unknown[]) => seen.push(error);
    const log = createLog('error', systemClock, () => {}, {}, onError).with({ token: 'T' });
    const error = new Error('broken');
    log.warn('not this', { error });
    log.error('this', { error, body: 'payload' });
    expect(seen).toEqual([['this', error]]);
  });

  it('leaves out what is below its level', () => {
    const lines: string[] = [];
    const log = createLog('warn', systemClock, (line) => lines.push(line)).with({ sessionId: 's' });
    log.info('no');
    log.error('yes', { error: new Error('broken') });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('"sessionId":"s"');
    expect(lines[0]).toContain('broken');
  });
});
