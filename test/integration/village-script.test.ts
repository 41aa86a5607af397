/** The commands a script may rely on, run as a script runs them: against a real village, with the real Claude Code on a scripted model. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SessionEventSchema } from '../../shared/events.ts';
import { Accepted, BuildList, EventPage, SessionDiff, SessionList, SessionStarted } from '../../shared/http.ts';
import { LINGER_UNWATCHED_MS, TENANT_LIVE_SESSIONS_MAX } from '../../shared/limits.ts';
import { Build } from '../../shared/releases.ts';
import { SessionView } from '../../shared/session.ts';
import { CLAUDE_VERSION, realClaude, type TestVillage, testVillage, until } from '../fakes/village.ts';
import { databaseOf } from '../fakes/village-database.ts';

const SPEC = `claude_code@${CLAUDE_VERSION}`;
const hasClaude = realClaude() !== undefined;
const unknownId = 'ses_01M817YGBJPH11SXYBGPEAJZ4X';
const ErrorShape = z.strictObject({ code: z.string(), message: z.string(), requestId: z.string().nullable() });

let village: TestVillage;
beforeAll(async () => {
  village = testVillage();
  await village.start();
});
afterAll(() => village.close());

const scenario = (name: string, turns: unknown): string => {
  const path = join(village.root, `${name}.json`);
  writeFileSync(path, JSON.stringify({ turns }));
  return path;
};
const startSession = async (...args: string[]): Promise<string> =>
  SessionStarted.parse(await village.json('sessions', 'start', ...args)).sessionId;
const errorOf = (stderr: string) => ErrorShape.parse(JSON.parse(stderr));
const eventsOf = async (sessionId: string) => {
  const { code, stdout } = await village.command('sessions', 'logs', sessionId, '--json');
  expect(code).toBe(0);
  return stdout
    .trim()
    .split('\n')
    .map((line) => SessionEventSchema.parse(JSON.parse(line)));
};

describe.skipIf(!hasClaude)('the script of a session with Claude Code', () => {
  it('adds a build, starts, waits, sends a second prompt, shows, logs, and leaves nothing behind', async () => {
    const added = await village.command('builds', 'add', SPEC);
    expect(added).toMatchObject({ code: 0, stdout: `claude_code-${CLAUDE_VERSION}\n` });
    expect(Build.parse(await village.json('builds', 'add', SPEC)).buildId).toBe(`claude_code-${CLAUDE_VERSION}`);
    const { builds } = BuildList.parse(await village.json('builds', 'list'));
    expect(builds.map(({ buildId }) => buildId)).toContain(`claude_code-${CLAUDE_VERSION}`);

    const repository = village.repository('two-turns', { 'README.md': 'hello\n', 'src/a.ts': 'export const a = 1;\n' });
    const file = scenario('two-turns', [
      { steps: [{ say: 'First I write.' }, { write: { path: 'src/a.ts', content: 'export const a = 2;\n' } }] },
      { steps: [{ run: 'echo ran > ran.txt' }, { say: 'All is done.' }] },
    ]);
    const sessionId = await startSession(
      ...['--provider', 'claude_code', '--model', 'scripted', '--scenario', file],
      ...['--repo', repository, '--prompt', 'Change a, please'],
    );
    const running = await village.command('sessions', 'wait', sessionId, '--state', 'running', '--timeout', '60');
    expect(running).toMatchObject({ code: 0, stdout: 'running\n' });
    await until('the first turn', async () => {
      const { body } = await village.api('GET', `/api/sessions/${sessionId}/events?limit=1000`);
      return EventPage.parse(body).events.find(({ type }) => type === 'turn_finished');
    });
    // Its scenario has a second turn, so it waits for a prompt: a wait for the end ends with the state it is in.
    const notYet = await village.command('sessions', 'wait', sessionId, '--state', 'completed', '--timeout', '0');
    expect([notYet.code, notYet.stdout]).toEqual([1, 'running\n']);

    const sent = await village.json('sessions', 'send', sessionId, 'And now the rest');
    expect(Accepted.parse(sent).session.sessionId).toBe(sessionId);
    const completed = await village.command('sessions', 'wait', sessionId, '--state', 'completed', '--timeout', '60');
    expect(completed).toMatchObject({ code: 0, stdout: 'completed\n' });
    const never = await village.command('sessions', 'wait', sessionId, '--state', 'running', '--timeout', '60');
    expect([never.code, never.stdout]).toEqual([1, 'completed\n']);

    const view = SessionView.parse(await village.json('sessions', 'show', sessionId));
    expect(view).toMatchObject({ sessionId, state: 'completed', provider: 'claude_code', epoch: 1 });
    expect(view.buildId).toBe(`claude_code-${CLAUDE_VERSION}`);
    const list = SessionList.parse(await village.json('sessions', 'list'));
    expect(list.sessions.map((one) => one.sessionId)).toContain(sessionId);

    const diff = SessionDiff.parse(await village.json('sessions', 'diff', sessionId));
    expect(diff.files).toMatchObject([
      { path: 'ran.txt', status: 'added', added: 1, removed: 0 },
      { path: 'src/a.ts', status: 'modified', added: 1, removed: 1 },
    ]);
    expect([diff.linesAdded, diff.linesRemoved]).toEqual([2, 1]);
    expect(diff.patch).toContain('+export const a = 2;');

    const events = await eventsOf(sessionId);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    expect(events).toHaveLength(view.head.seq);
    expect(events.filter(({ type }) => type === 'turn_finished')).toHaveLength(2);
    expect(events.findLast(({ type }) => type === 'usage_tick')).toMatchObject({ final: true });
    const logs = await village.command('sessions', 'logs', sessionId);
    expect(logs.stdout).toContain('First I write.');
    expect(logs.stdout).toContain('All is done.');

    expect(readdirSync(join(village.dataDir, 'runner', 'workspaces'))).toEqual([]);
    await until('the end of its processes', () =>
      village.processes().some(({ command }) => /pty-host|claude/.test(command)) ? undefined : true,
    );
  });
});

describe('the script of a session with a shell', () => {
  it('keeps open, takes what is sent, and ends when it is stopped', async () => {
    const repository = village.repository('shell');
    const sessionId = await startSession('--provider', 'shell', '--repo', repository, '--keep-open');
    expect((await village.command('sessions', 'wait', sessionId, '--state', 'running')).code).toBe(0);
    expect((await village.command('sessions', 'send', sessionId, 'echo made-$((6*7)) | tee made.txt')).code).toBe(0);
    const logged = async () => (await village.command('sessions', 'logs', sessionId)).stdout;
    await until('the answer', async () => ((await logged()).includes('made-42') ? true : undefined));
    const diffed = async () => SessionDiff.parse(await village.json('sessions', 'diff', sessionId));
    // Nobody watches, so it leaves with what is sent at leisure.
    const diffWaitMs = LINGER_UNWATCHED_MS + 30_000;
    await until(
      'the diff',
      async () => {
        const { status, body } = await village.api('GET', `/api/sessions/${sessionId}/diff`);
        return status === 200 && SessionDiff.parse(body).files.length > 0 ? true : undefined;
      },
      diffWaitMs,
    );
    const diff = await diffed();
    expect(diff.files).toMatchObject([{ path: 'made.txt', status: 'added', added: 1 }]);

    expect(Accepted.parse(await village.json('sessions', 'stop', sessionId)).accepted).toBe(true);
    const ended = await village.json('sessions', 'wait', sessionId, '--state', 'completed', '--timeout', '30');
    expect(ended).toMatchObject({ sessionId, state: 'completed', reached: true, reason: { code: 'stopped' } });
    // What there was to see stays after the end.
    expect((await logged()).includes('made-42')).toBe(true);
    expect((await diffed()).files).toEqual(diff.files);
    expect(existsSync(join(village.dataDir, 'runner', 'workspaces', sessionId))).toBe(false);
    const late = await village.command('sessions', 'send', sessionId, 'x', '--json');
    expect(late.code).not.toBe(0);
    expect(errorOf(late.stderr).message).not.toBe('');
  });
});

describe('exit codes', () => {
  it('are 3 for what is unknown, with the error as JSON on stderr and nothing on stdout', async () => {
    for (const args of [['show'], ['wait'], ['diff'], ['logs'], ['stop']]) {
      const { code, stdout, stderr } = await village.command('sessions', ...args, unknownId, '--json');
      expect([args, code, stdout]).toEqual([args, 3, '']);
      expect(errorOf(stderr)).toMatchObject({ code: 'not_found', requestId: expect.any(String) });
    }
    expect((await village.command('sessions', 'send', unknownId, 'text', '--json')).code).toBe(3);
  });

  it('are 4 for a bad token, 5 for a limit, 1 for a wrong use', async () => {
    const { url } = village.endpoint();
    const variables = { VILLAGE_URL: url, VILLAGE_TOKEN: 'not-a-token' };
    const stranger = await village.commandWith(variables, 'sessions', 'list', '--json');
    expect([stranger.code, stranger.stdout, errorOf(stranger.stderr).code]).toEqual([4, '', 'forbidden']);

    const repository = village.repository('limits');
    const start = (provider: string) =>
      village.command('sessions', 'start', '--provider', provider, '--repo', repository, '--json');
    const usage = await start('nonsense');
    expect([usage.code, errorOf(usage.stderr).code]).toEqual([1, 'usage']);
    const database = databaseOf(village);
    try {
      await database.setNumber('tenants', { pk: 'T#local', sk: 'SLOTS' }, 'live', TENANT_LIVE_SESSIONS_MAX);
      const refused = await start('shell');
      expect([refused.code, refused.stdout, errorOf(refused.stderr).code]).toEqual([5, '', 'limit_reached']);
    } finally {
      await database.setNumber('tenants', { pk: 'T#local', sk: 'SLOTS' }, 'live', 0);
      database.close();
    }
  });
});
