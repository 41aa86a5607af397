/**
 * A session that went on in new epochs, looked at while it runs: the terminal shows the epoch that is live, and the recording has all of them,
 * in order, with what happened to them and what is missing. Takes over a minute: only with VILLAGE_LONG=1.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { Transcript } from '../../shared/http.ts';
import { type TestVillage, testVillage, until } from '../fakes/village.ts';
import { testViewer } from '../fakes/village-viewer.ts';
import { killed, PATIENCE_MS, runs, startShell } from './faults-support.ts';

const TIMEOUT_MS = 300_000;
let village: TestVillage;
let sessionId = '';

/** What is on the screen of somebody who comes now, up to what is waited for. */
const lookIn = async (text: string): Promise<string> => {
  const viewer = testViewer({ endpoint: village.endpoint(), sessionId, mode: 'watch' });
  try {
    return await until(
      `"${text}" on the screen`,
      async () => {
        const screen = (await viewer.lines()).join('\n');
        return screen.includes(text) ? screen : undefined;
      },
      PATIENCE_MS,
      village.taskLogs,
    );
  } finally {
    viewer.close();
  }
};
const prints = async (command: string, text: string): Promise<string> => {
  await village.api('POST', `/api/sessions/${sessionId}/input`, { data: command, submit: true });
  return lookIn(text);
};

beforeAll(async () => {
  village = testVillage();
  const first = await village.start();
  sessionId = await startShell(village);
  await prints('echo one-$((1+1))', 'one-2');
  // Given back in order: all of it is stored.
  first.signal('SIGINT');
  await first.exited;
  await village.start();
  await runs(village, sessionId, 2);
  await prints('echo two-$((2+2))', 'two-4');
  // Lost with its host, and with the end of what it printed.
  await killed(village, 'pty-host/main.ts');
  await runs(village, sessionId, 3);
  await prints('echo three-$((3+3))', 'three-6');
}, TIMEOUT_MS);
afterAll(() => village.close());

const transcript = async (from: string): Promise<z.infer<typeof Transcript>> =>
  Transcript.parse((await village.api('GET', `/api/sessions/${sessionId}/transcript?from=${from}`)).body);

describe.skipIf(!process.env.VILLAGE_LONG)('a session in its third epoch', () => {
  it('shows the epoch that is live to whoever comes', async () => {
    const screen = await lookIn('three-6');
    expect(screen).not.toContain('one-2');
    expect(screen).not.toContain('two-4');
  });

  it('has the chunks of all its epochs in order, from any address', async () => {
    const { chunks, live, head } = await transcript('1:0');
    expect([live, head.epoch]).toEqual([true, 3]);
    const places = chunks.map(({ epoch, firstOffset }) => [epoch, firstOffset] as const);
    expect(places).toEqual([...places].sort(([a, b], [c, d]) => a - c || b - d));
    expect(new Set(chunks.map(({ epoch }) => epoch))).toContain(1);
    expect((await transcript('2:0')).chunks.every(({ epoch }) => epoch >= 2)).toBe(true);
  });

  it('is one recording with a mark where each epoch begins, and says what became of the others', async () => {
    const path = join(village.root, 'live.cast');
    expect(await village.command('sessions', 'replay', sessionId, '--cast', path)).toMatchObject({ code: 0 });
    const lines = readFileSync(path, 'utf8').trim().split('\n').slice(1);
    const events = lines.map((line): [number, string, string] => JSON.parse(line));
    const labels = events.filter(([, code]) => code === 'm').map(([, , label]) => label);
    const at = (label: string) => labels.findIndex((one) => one.startsWith(label));
    const order = ['runner given back', 'epoch 2', 'runner lost', 'epoch 3'].map(at);
    expect(order).not.toContain(-1);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    const printed = events.filter(([, code]) => code === 'o').map(([, , data]) => data);
    expect(printed.join('')).toContain('one-2');
  });

  it('has everything that was stored in the recording when it is over', async () => {
    await village.api('POST', `/api/sessions/${sessionId}/stop`);
    const path = join(village.root, 'over.cast');
    const text = await until(
      'the end in the recording',
      async () => {
        await village.command('sessions', 'replay', sessionId, '--cast', path);
        const written = readFileSync(path, 'utf8');
        return written.includes('three-6') ? written : undefined;
      },
      PATIENCE_MS,
    );
    expect(text.indexOf('one-2')).toBeLessThan(text.indexOf('"epoch 2"'));
    expect(text.indexOf('"epoch 3"')).toBeLessThan(text.indexOf('three-6'));
  });
});
