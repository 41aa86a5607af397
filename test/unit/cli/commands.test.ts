import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CliError } from '../../../cli/cli-error.ts';
import { ageText, showLines } from '../../../cli/commands/read-sessions.ts';
import { startArguments } from '../../../cli/commands/start.ts';
import { type StartOptions, startBody } from '../../../cli/commands/start-session.ts';
import { decideWait, waitForState } from '../../../cli/commands/wait-session.ts';
import { findEndpoint } from '../../../cli/endpoint.ts';
import { createOutput } from '../../../cli/output.ts';
import { repositoryAddress } from '../../../cli/repository.ts';
import { sessionIdOf } from '../../../cli/session-id.ts';
import type { Clock } from '../../../shared/clock.ts';
import { ISOLATION_WORDS } from '../../../shared/isolation.ts';
import { SESSION_STATES, type SessionState, SessionView } from '../../../shared/session.ts';
import { mockSession } from '../../e2e/mock/mock-data.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'village-cli-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('findEndpoint', () => {
  it('reads endpoint.json of the data directory', () => {
    writeFileSync(join(dir, 'endpoint.json'), '{"url":"http://127.0.0.1:4310/","token":"t","more":1}');
    expect(findEndpoint(dir, {})).toEqual({ url: 'http://127.0.0.1:4310', token: 't' });
  });

  it('takes VILLAGE_URL and VILLAGE_TOKEN, but a named data directory wins', () => {
    const env = { VILLAGE_URL: 'http://h:1', VILLAGE_TOKEN: 'e' };
    expect(findEndpoint(undefined, env)).toEqual({ url: 'http://h:1', token: 'e' });
    expect(() => findEndpoint(dir, env)).toThrow('npm start');
    expect(() => findEndpoint(undefined, { VILLAGE_URL: 'http://h:1' })).toThrow('VILLAGE_TOKEN');
  });

  it('says what is wrong with a file of no use', () => {
    writeFileSync(join(dir, 'endpoint.json'), '{}');
    expect(() => findEndpoint(dir, {})).toThrow('not an endpoint file');
    writeFileSync(join(dir, 'endpoint.json'), '{');
    expect(() => findEndpoint(dir, {})).toThrow('cannot be read');
  });
});

describe('sessions start', () => {
  const options = (over: Partial<StartOptions> = {}): StartOptions => ({
    provider: 'shell',
    repo: '.',
    keepOpen: false,
    model: undefined,
    scenario: undefined,
    ref: undefined,
    branch: undefined,
    room: undefined,
    prompt: undefined,
    title: undefined,
    goal: undefined,
    build: undefined,
    ...over,
  });

  it('makes paths absolute and leaves addresses alone', () => {
    mkdirSync(join(dir, 'repo'));
    expect(repositoryAddress('repo', dir)).toBe(join(dir, 'repo'));
    expect(repositoryAddress('../x', '/a/b')).toBe('/a/x');
    for (const url of ['https://h/r.git', 'ssh://git@h/r', 'git@h:o/r.git', 'file:///r'])
      expect(repositoryAddress(url, dir)).toBe(url);
  });

  it('carries every option', () => {
    const scenario = join(dir, 's.json');
    writeFileSync(scenario, '{"turns":[{"steps":[{"say":"hi"}]}]}');
    const body = startBody(
      options({
        provider: 'claude_code',
        scenario,
        branch: 'main',
        room: 'src',
        prompt: 'p',
        goal: 'g',
        build: 'b',
        keepOpen: true,
      }),
      '/repo',
    );
    expect(body).toMatchObject({
      provider: 'claude_code',
      model: 'scripted',
      repository: { url: '/repo', ref: 'main', roomPath: 'src' },
      prompt: 'p',
      task: { title: 'g', goal: 'g' },
      scenario: { turns: [{ steps: [{ say: 'hi' }] }] },
      buildId: 'b',
      endWhenDone: false,
    });
    expect(startBody(options(), '/repo').endWhenDone).toBeUndefined();
  });

  it.each([
    [{ provider: 'nope' }, 'provider'],
    [{ model: 'scripted' }, 'scenario'],
    [{ ref: 'a', branch: 'b' }, '--ref'],
    [{ scenario: '/no/such/file' }, '--scenario'],
    [{ ref: '-x' }, 'branch, tag or commit'],
  ])('refuses %o, naming what does not fit', (over, mention) => {
    const attempt = () => startBody(options(over), '/repo');
    expect(attempt).toThrow(CliError);
    expect(attempt).toThrow(mention);
  });
});

describe('sessions wait', () => {
  it('ends at a wanted state, or at a final one that can never become it', () => {
    const answers = (wanted: SessionState[]) => SESSION_STATES.map((state) => decideWait(state, wanted));
    const waiting = Array.from({ length: 7 }, () => 'not_yet');
    expect(answers(['completed'])).toEqual([...waiting, 'reached', 'never']);
    expect(answers([])).toEqual([...waiting, 'reached', 'reached']);
    expect(decideWait('running', ['running', 'completed'])).toBe('reached');
    expect(decideWait('completed', ['running'])).toBe('never');
  });

  it('polls until then, or until its time is up', async () => {
    let nowMs = 0;
    const clock: Clock = {
      nowMs: () => nowMs,
      monotonicMs: () => nowMs,
      after(delayMs, run) {
        nowMs += delayMs;
        queueMicrotask(run);
        return () => {};
      },
    };
    const view = (state: SessionState): SessionView => {
      const at = '2026-01-01T00:00:00.000Z';
      return SessionView.parse({
        sessionId: 'ses_01M817YGBJPH11SXYBGPEAJZ4X',
        pool: 'hosted',
        placement: null,
        queuePosition: null,
        parked: false,
        agentId: 'agt_01M817YGBKJ8103RSN8CM878S7',
        state,
        reason: null,
        desired: 'run',
        provider: 'shell',
        model: 'default',
        buildId: 'b',
        repository: { url: '/r' },
        title: 't',
        epoch: 1,
        head: { epoch: 1, offset: 0, seq: 1 },
        createdBy: 'me',
        createdAt: at,
        updatedAt: at,
        lastEventAt: at,
        startedAt: at,
        endedAt: null,
        taskArn: null,
        usage: { agentMs: 0, waitingMs: 0, terminalBytes: 0, filesTouched: 0, commands: 0 },
      });
    };
    const states: SessionState[] = ['created', 'running', 'completed'];
    const read = async () => view(states.shift() ?? 'completed');
    expect((await waitForState(read, ['completed'], 60_000, clock)).answer).toBe('reached');
    const stuck = await waitForState(async () => view('running'), ['completed'], 1_000, clock);
    expect([stuck.answer, stuck.view.state]).toEqual(['not_yet', 'running']);
  });
});

it('has an exit code for every kind of failure', () => {
  const codes = ['failed', 'cancelled', 'not_found', 'not_signed_in', 'limit_reached', 'conflict', 'usage'];
  expect(codes.map((code) => new CliError(code, '').exitCode)).toEqual([1, 2, 3, 4, 5, 1, 1]);
});

it('keeps data and the rest apart, and errors in the shape that was asked for', () => {
  const out: string[] = [];
  const err: string[] = [];
  const output = createOutput(true, { write: (text) => out.push(text) }, { write: (text) => err.push(text) });
  output.object({ a: 1 });
  output.note('for people');
  output.error(new CliError('not_found', 'no such session', 'r1'));
  expect(out).toEqual(['{"a":1}\n']);
  expect(err).toEqual(['for people\n', '{"code":"not_found","message":"no such session","requestId":"r1"}\n']);
});

it('treats an id that cannot be one as unknown', () => {
  expect(() => sessionIdOf('x')).toThrow(expect.objectContaining({ code: 'not_found' }));
  expect(sessionIdOf('ses_01M817YGBJPH11SXYBGPEAJZ4X')).toBe('ses_01M817YGBJPH11SXYBGPEAJZ4X');
});

it('hands its options on to the village it starts', () => {
  expect(startArguments({ dataDir: 'd', port: '1', open: false })).toEqual([
    '--data-dir',
    'd',
    '--port',
    '1',
    '--no-open',
  ]);
  expect(startArguments({ open: true })).toEqual([]);
});

it('words an age', () => {
  const now = Date.parse('2026-01-03T00:00:00Z');
  const ages = ['2026-01-03T00:00:00Z', '2026-01-02T23:57:00Z', '2026-01-02T20:00:00Z', '2026-01-01T00:00:00Z'];
  expect(ages.map((iso) => ageText(iso, now))).toEqual(['0 s', '3 min', '4 h', '2 d']);
});

describe('sessions show', () => {
  it('says what keeps the agent apart, once it was started', () => {
    expect(showLines(mockSession(1), ISOLATION_WORDS.shared_uid)).toContain(
      "isolation   shares the village's user: it can read what that user can read",
    );
    expect(showLines(mockSession(1), null).join()).not.toContain('isolation');
  });
});
