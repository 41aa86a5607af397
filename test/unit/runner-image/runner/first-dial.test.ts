/** What a runner says of itself when it was started again: which of its hellos name all that it has, and since when it runs. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { RECONNECT_MAX_MS, TAKE_UP_RETRY_MS } from '../../../../shared/limits.ts';
import { of, openRunner, SESSION, type Socket, writeOver } from './open-runner.ts';

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'runner-first-dial-'));
  folder = join(root, 'state', 'sessions', SESSION);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const firstDials = (socket: Socket) =>
  of(socket, 'hello').map((hello) => (hello.type === 'hello' ? hello.firstDial : null));

it('names its first dial in each hello, and a new process its own', async () => {
  const one = openRunner(root);
  const first = await one.up(0);
  first.events.onClosed({ status: null, message: 'cut' });
  one.clock.advance(RECONNECT_MAX_MS);
  const second = await one.up(1);
  expect([firstDials(first), firstDials(second)]).toEqual([[1], [1]]);
  one.runner.drain();
  await one.exited;
  const other = openRunner(root);
  expect(firstDials(await other.up(0))).toEqual([3]);
});

it('a session that cannot be taken up yet is not lost: until then nothing is said', async () => {
  writeOver(folder);
  const saved = join(folder, 'session.json');
  const text = readFileSync(saved);
  rmSync(saved);
  mkdirSync(saved);
  const { up, clock } = openRunner(root);
  const socket = await up(0);
  expect(firstDials(socket)).toEqual([undefined]);
  rmSync(saved, { recursive: true });
  writeFileSync(saved, text);
  clock.advance(TAKE_UP_RETRY_MS);
  await vi.waitFor(() =>
    expect(of(socket, 'hello').at(-1)).toMatchObject({ firstDial: 1, sessions: [{ sessionId: SESSION }] }),
  );
});

it('one whose folder nobody can ever read is lost, and that is said', async () => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'session.json'), 'not json');
  const { up } = openRunner(root);
  expect(of(await up(0), 'hello')).toMatchObject([{ firstDial: 1, sessions: [] }]);
});

it('what has ended and waits for a line to be delivered on is not lost', async () => {
  const { up, clock } = openRunner(root);
  const first = await up(0);
  first.events.onClosed({ status: null, message: 'cut' });
  writeOver(folder);
  clock.advance(RECONNECT_MAX_MS);
  const second = await up(1);
  await vi.waitFor(() => expect(of(second, 'hello').length).toBeGreaterThan(1));
  expect(firstDials(second).slice(0, 2)).toEqual([undefined, 1]);
});
