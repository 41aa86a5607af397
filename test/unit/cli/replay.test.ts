import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventLine } from '../../../cli/commands/session-logs.ts';
import { runCli } from '../../../cli/program.ts';
import { ReplayPlayer } from '../../../cli/viewer/replay-player.ts';
import type { WalkStep } from '../../../shared/viewer/transcript-walk.ts';
import { mockEvents, mockSession } from '../../e2e/mock/mock-data.ts';
import { manualClock } from '../runner-image/manual-clock.ts';

const session = mockSession(1, { state: 'completed', title: 'Fix it', head: { epoch: 1, offset: 12, seq: 60 } });
const id = session.sessionId;
const events = mockEvents(
  session,
  Array.from({ length: 60 }, (_, index) => ({ type: 'turn_finished', turn: index + 1, tookMs: 1 })),
);
const chunk = (number: number, text: string) => ({
  ...{ v: 1, sessionId: id, epoch: 1, number, firstOffset: 6 * number, endOffset: 6 * number + 6 },
  keyframe: { cols: 80, rows: 24, sizeRev: 0, data: '\u001bc' },
  parts: [{ k: 'o', ts: 1_000 + 90_000 * number, offset: 6 * number, data: text }],
});
const chunks = [chunk(0, 'first '), chunk(1, 'second')];

let folder = '';
let stop = async (): Promise<void> => {};
let env: NodeJS.ProcessEnv = {};
const printed: string[] = [];
const said: string[] = [];
const write = { out: process.stdout.write, err: process.stderr.write };

const answer = (request: IncomingMessage, response: ServerResponse, origin: string): void => {
  const url = new URL(request.url ?? '/', origin);
  const json = (body: unknown) => response.end(JSON.stringify(body));
  const number = /\/chunk\/(\d+)/.exec(url.pathname)?.[1];
  if (number !== undefined) return void response.end(gzipSync(JSON.stringify(chunks[Number(number)])));
  if (url.pathname.endsWith('/events')) {
    const [from, limit] = ['fromSeq', 'limit'].map((name) => Number(url.searchParams.get(name)));
    const page = events.filter(({ seq }) => seq >= (from ?? 0)).slice(0, Math.min(limit ?? 0, 25));
    return void json({ events: page, nextSeq: (page.at(-1)?.seq ?? 60) + 1, headSeq: 60 });
  }
  if (url.pathname.endsWith('/transcript')) {
    const offset = Number(url.searchParams.get('from')?.split(':')[1]);
    const listed = chunks
      .filter(({ endOffset }) => endOffset > offset)
      .map(({ number: at, firstOffset, endOffset }) => ({
        ...{ epoch: 1, number: at, firstOffset, endOffset, sizeBytes: 1, sha256: '', url: `${origin}/chunk/${at}` },
      }));
    return void json({ chunks: listed.slice(0, 1), more: listed.length > 1, head: session.head, live: false });
  }
  json(session);
};

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'village-replay-'));
  const server = createServer((request, response) => answer(request, response, origin));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  stop = () => new Promise((resolve) => void server.close(() => resolve()));
  env = { VILLAGE_URL: origin, VILLAGE_TOKEN: 'token', HOME: folder };
  printed.length = 0;
  said.length = 0;
  process.stdout.write = ((text: string) => Boolean(printed.push(text))) as typeof process.stdout.write;
  process.stderr.write = ((text: string) => Boolean(said.push(text))) as typeof process.stderr.write;
});
afterEach(async () => {
  Object.assign(process.stdout, { write: write.out });
  Object.assign(process.stderr, { write: write.err });
  await stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('village sessions replay', () => {
  test('--cast writes a whole recording with its pauses and marks, and never over another file', async () => {
    const file = join(folder, 'session.cast');
    expect(await runCli(['sessions', 'replay', id, '--cast', file], env)).toBe(0);
    const [header, ...lines] = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(header).toMatchObject({ version: 2, width: 80, height: 24, title: 'Fix it' });
    expect(lines.filter(([, code]) => code === 'o').map(([time, , data]) => [time, data])).toEqual([
      [0, '\u001bc'],
      [0, 'first '],
      [90, 'second'],
    ]);
    expect(lines.filter(([, code]) => code === 'm')).toHaveLength(60);
    expect(readdirSync(folder)).toEqual(['session.cast']);
    writeFileSync(file, 'mine');
    expect(await runCli(['sessions', 'replay', id, '--cast', file], env)).toBe(1);
    expect(said.join('')).toContain('exists: choose another file');
    expect(readFileSync(file, 'utf8')).toBe('mine');
  });

  test('--cast - gives the lines, --from leaves out what came before', async () => {
    expect(await runCli(['sessions', 'replay', id, '--cast', '-', '--from', '1:6'], env)).toBe(0);
    expect(printed.join('')).toContain('second');
    expect(printed.join('')).not.toContain('first');
  });

  test('without a file it plays', async () => {
    expect(await runCli(['sessions', 'replay', id, '--speed', '1000'], env)).toBe(0);
    expect(printed.join('').replaceAll('\u001bc', '')).toContain('first second');
  });

  test.each([
    [['--speed', '0'], 'speed'],
    [['--from', 'here'], 'expected epoch:offset'],
    [['--idle', 'x'], 'idle'],
    [['--json'], 'no --json'],
  ])('%j is refused with what is wrong', async (options, why) => {
    expect(await runCli(['sessions', 'replay', id, ...options], env)).toBe(1);
    expect(said.join('')).toContain(why);
  });

  test('a file that cannot be written leaves nothing behind', async () => {
    expect(await runCli(['sessions', 'replay', id, '--cast', join(folder, 'no', 'such', 'x.cast')], env)).toBe(1);
    expect(said.join('')).toContain('could not be written');
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('village sessions logs --from-seq', () => {
  test('pages through all that is left, one event a line', async () => {
    expect(await runCli(['sessions', 'logs', id, '--from-seq', '11'], env)).toBe(0);
    expect(printed.map((line) => Number(line.split(' ')[0]))).toEqual(
      Array.from({ length: 50 }, (_, index) => index + 11),
    );
    expect(printed[0]).toContain('turn_finished  {"turn":11,"tookMs":1}');
  });

  test('--limit stops, and says how to go on', async () => {
    expect(await runCli(['sessions', 'logs', id, '--from-seq', '1', '--limit', '30', '--json'], env)).toBe(0);
    expect(printed.map((line) => JSON.parse(line).seq)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
    expect(said.join('')).toContain('--from-seq 31');
  });

  test('a number that is none is refused', async () => {
    expect(await runCli(['sessions', 'logs', id, '--from-seq', 'x'], env)).toBe(1);
    expect(said.join('')).toContain('sessions logs');
  });

  test('a long body is cut', () => {
    const [long] = mockEvents(session, [{ type: 'provider_message', role: 'user', text: 'x'.repeat(5_000) }], 0);
    expect(long === undefined ? '' : eventLine(long)).toMatch(
      /^1 {2}1970-01-01T00:00:00.000Z {2}1:0 {2}provider_message {2}.{160}…$/,
    );
  });
});

test('a player keeps pauses, shortens long ones, and can be stopped and left', async () => {
  const clock = manualClock();
  const abort = new AbortController();
  const drawn: number[] = [];
  let gate: Promise<void> = Promise.resolve();
  const player = new ReplayPlayer({
    ...{ clock, speed: 2, idleMs: 4_000, signal: abort.signal, resumed: () => gate },
    draw: ({ offset }) => drawn.push(offset),
  });
  const step = (atMs: number, offset: number): WalkStep => ({ kind: 'write', atMs, epoch: 1, offset, data: 'x' });
  const turns = () => new Promise(setImmediate);
  const playing = player.play([step(10_000, 0), step(11_000, 1), step(5_000, 2), step(900_000, 3), step(900_001, 4)]);
  await turns();
  clock.advance(499);
  await turns();
  expect(drawn).toEqual([0]);
  clock.advance(1);
  await turns();
  expect(drawn).toEqual([0, 1, 2]);
  const goesOn = Promise.withResolvers<void>();
  gate = goesOn.promise;
  clock.advance(2_000);
  await turns();
  expect(drawn).toEqual([0, 1, 2]);
  goesOn.resolve();
  await turns();
  expect(drawn).toEqual([0, 1, 2, 3]);
  abort.abort();
  await playing;
  expect(drawn).toEqual([0, 1, 2, 3]);
});
