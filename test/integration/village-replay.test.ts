/** A session over two lives of its village, played back: the file, the address and the terminal tell the same, with pauses, marks and both epochs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import headless from '@xterm/headless';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventPage, SessionStarted } from '../../shared/http.ts';
import { isFinal, SessionView } from '../../shared/session.ts';
import { type TestVillage, testVillage, until } from '../fakes/village.ts';

const TIMEOUT_MS = 240_000;
let village: TestVillage;
let sessionId = '';

const view = async (): Promise<SessionView> =>
  SessionView.parse((await village.api('GET', `/api/sessions/${sessionId}`)).body);
const inState = (isWanted: (seen: SessionView) => boolean) =>
  until(
    `a state of ${sessionId}`,
    async () => {
      const seen = await view();
      return isWanted(seen) ? seen : undefined;
    },
    90_000,
    () => village.taskLogs(),
  );
const type = (data: string) => village.api('POST', `/api/sessions/${sessionId}/input`, { data, submit: true });
/** Until it stands in the durable stream that the shell has printed so much. */
const printed = async (marker: string): Promise<void> => {
  await until(
    `"${marker}" on the screen`,
    async () => {
      const { stdout } = await village.command('sessions', 'logs', sessionId);
      return stdout.includes(marker) ? true : undefined;
    },
    60_000,
  );
};

beforeAll(async () => {
  village = testVillage();
  const first = await village.start();
  const body = { provider: 'shell', repository: { url: village.repository('replayed') } };
  sessionId = SessionStarted.parse((await village.api('POST', '/api/sessions', body)).body).sessionId;
  await inState(({ state }) => state === 'running');
  await type("echo one-$((1+1)); sleep 1.2; printf '\\033[31mlater-%s\\033[0m 漢字\\n' $((3+3))");
  await printed('later-6');
  first.signal('SIGINT');
  await first.exited;
  await village.start();
  await inState(({ state, epoch }) => state === 'running' && epoch === 2);
  await type('echo two-$((2+2))');
  await printed('two-4');
  await village.api('POST', `/api/sessions/${sessionId}/stop`);
  await inState(({ state }) => isFinal(state));
}, TIMEOUT_MS);
afterAll(() => village.close());

type CastEvent = [time: number, code: string, data: string];
const parse = (text: string): CastEvent[] =>
  text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => JSON.parse(line));

describe('replay', () => {
  it('is one recording of both epochs, with the pause that was and with marks', async () => {
    const path = join(village.root, 'session.cast');
    expect(await village.command('sessions', 'replay', sessionId, '--cast', path)).toMatchObject({ code: 0 });
    const events = parse(readFileSync(path, 'utf8'));
    const at = (text: string): number =>
      events.find(([, code, data]) => code === 'o' && data.includes(text))?.[0] ?? Number.NaN;
    expect(at('later-6') - at('one-2')).toBeGreaterThan(1);
    const marks = events.filter(([, code]) => code === 'm').map(([, , label]) => label);
    expect(marks).toContain('epoch 2');
    expect(marks.filter((label) => label === 'state: running')).toHaveLength(2);
    expect(marks.indexOf('epoch 2')).toBeLessThan(marks.lastIndexOf('state: running'));
    expect(events.some(([, code, data]) => code === 'm' && data.includes('not stored'))).toBe(false);
    const times = events.map(([time]) => time);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  it('draws in any terminal what the session showed', async () => {
    const path = join(village.root, 'drawn.cast');
    await village.command('sessions', 'replay', sessionId, '--cast', path);
    const { width, height } = JSON.parse(readFileSync(path, 'utf8').split('\n')[0] ?? '');
    const terminal = new headless.Terminal({ cols: width, rows: height, allowProposedApi: true });
    for (const [, code, data] of parse(readFileSync(path, 'utf8'))) {
      const [cols = width, rows = height] = data.split('x').map(Number);
      if (code === 'r') terminal.resize(cols, rows);
      if (code === 'o') await new Promise<void>((resolve) => terminal.write(data, resolve));
    }
    const { active } = terminal.buffer;
    const lines = Array.from({ length: active.length }, (_, row) => active.getLine(row)?.translateToString(true) ?? '');
    const text = lines.join('\n').trimEnd();
    const { stdout } = await village.command('sessions', 'logs', sessionId);
    expect(text).toContain('two-4');
    expect(stdout.trimEnd().endsWith(text.split('\n').slice(-2).join('\n'))).toBe(true);
    terminal.dispose();
  });

  it('is the same at its address, and played in the terminal', async () => {
    const { url, token } = village.endpoint();
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`${url}/api/sessions/${sessionId}/transcript?format=asciicast`, { headers });
    const { stdout: written } = await village.command('sessions', 'replay', sessionId, '--cast', '-');
    expect(response.redirected).toBe(true);
    expect(await response.text()).toBe(written);
    const played = await village.command('sessions', 'replay', sessionId, '--speed', '1000', '--idle', '0');
    expect(played.code).toBe(0);
    for (const text of ['one-2', 'later-6', '漢字', 'two-4']) expect(played.stdout).toContain(text);
    const second = await village.command(
      'sessions',
      'replay',
      sessionId,
      '--from',
      '2:0',
      '--speed',
      '1000',
      '--idle',
      '0',
    );
    expect(second.stdout).toContain('two-4');
    expect(second.stdout).not.toContain('one-2');
  });

  it('its events can be paged through from any number', async () => {
    const all = EventPage.parse((await village.api('GET', `/api/sessions/${sessionId}/events?limit=1000`)).body).events;
    const from = Math.floor(all.length / 2);
    const { stdout } = await village.command('sessions', 'logs', sessionId, '--from-seq', String(from), '--limit', '5');
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => Number(line.split(' ')[0])),
    ).toEqual(Array.from({ length: 5 }, (_, index) => from + index));
  });
});
