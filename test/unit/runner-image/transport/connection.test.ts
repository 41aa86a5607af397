import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../runner-image/src/log.ts';
import { fullJitterMs } from '../../../../runner-image/src/transport/back-off.ts';
import { Connection, parseFrame } from '../../../../runner-image/src/transport/connection.ts';
import { openDialStore } from '../../../../runner-image/src/transport/dial-store.ts';
import { decideLease } from '../../../../runner-image/src/transport/lease.ts';
import type { SocketEvents } from '../../../../runner-image/src/transport/socket.ts';
import { RunnerFrame } from '../../../../shared/frames.ts';
import {
  FRAME_MAX_BYTES,
  LEASE_LOST_KILL_MS,
  LEASE_MS,
  PING_INTERVAL_MS,
  RECONNECT_BASE_MS,
  RECONNECT_MAX_MS,
  REDIAL_AFTER_MS,
  REDIAL_JITTER_MS,
} from '../../../../shared/limits.ts';
import { parseRunnerCredential } from '../../../../shared/runner-credential.ts';
import { fixedRandom, manualClock } from '../manual-clock.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dial-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const TOKEN = `rt.local.ses_01J0000000000000000000000A.1.${'9'.repeat(64)}`;
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

describe('dial store', () => {
  it('offers the same next credential until a dial was answered, and writes it down first', () => {
    const path = join(folder, 'deep', 'dial.json');
    const store = openDialStore(path, TOKEN, fixedRandom());
    const first = store.begin();
    const { next } = JSON.parse(readFileSync(path, 'utf8'));
    expect(parseRunnerCredential(next)?.principal).toMatchObject({ tenantId: 'local', epoch: 1 });
    expect(first).toEqual({ dial: 1, credential: TOKEN, nextCredentialSha256: sha256(next) });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    // The answer was lost with the process.
    const again = openDialStore(path, TOKEN, fixedRandom()).begin();
    expect(again).toEqual({ ...first, dial: 2 });
    const third = openDialStore(path, TOKEN, fixedRandom());
    const retried = third.begin();
    third.succeeded(retried.dial);
    const fresh = openDialStore(path, TOKEN, { ...fixedRandom(), hex: () => 'f'.repeat(64) }).begin();
    expect(fresh).toMatchObject({ dial: 4, credential: next });
    expect(fresh.nextCredentialSha256).not.toBe(first.nextCredentialSha256);
  });

  it('ignores the late answer of a dial that another one replaced', () => {
    const path = join(folder, 'dial.json');
    const store = openDialStore(path, TOKEN, fixedRandom());
    store.begin();
    const second = store.begin();
    store.succeeded(second.dial);
    const current = JSON.parse(readFileSync(path, 'utf8')).current;
    store.succeeded(1);
    expect(JSON.parse(readFileSync(path, 'utf8')).current).toBe(current);
  });
});

const setup = () => {
  const clock = manualClock();
  const sockets: { events: SocketEvents; sent: unknown[]; isClosed: boolean; credential: string; dial: number }[] = [];
  const log: string[] = [];
  let isAssigned = false;
  const connection = new Connection({
    openSocket: (ticket, events) => {
      const socket = {
        events,
        sent: [] as unknown[],
        isClosed: false,
        credential: ticket.credential,
        dial: ticket.dial,
      };
      sockets.push(socket);
      return {
        send: (text, onSent) => {
          socket.sent.push(RunnerFrame.parse(JSON.parse(text)));
          onSent();
        },
        close: () => {
          socket.isClosed = true;
        },
        terminate: () => {
          if (socket.isClosed) return;
          socket.isClosed = true;
          events.onClosed({ status: null, message: 'terminated' });
        },
      };
    },
    dialStore: openDialStore(join(folder, 'dial.json'), TOKEN, fixedRandom()),
    clock,
    random: fixedRandom(),
    log: silentLog,
    hello: () => ({
      runnerId: 'r1',
      runnerVersion: '1',
      buildId: 'local',
      clis: {},
      isolation: 'shared_uid',
      capacity: 1,
      draining: false,
      sessions: [],
    }),
    isSettled: () => isAssigned,
    onFrame: (frame) => log.push(`frame ${frame.type}`),
    onUp: (dial) => log.push(`up ${dial}`),
    onDown: () => log.push('down'),
    onRefused: (status) => log.push(`refused ${status}`),
  });
  connection.start();
  const at = (index: number) => {
    const socket = sockets[index];
    if (!socket) throw new Error(`socket ${index} was not dialled`);
    return socket;
  };
  const welcome = (index: number) => {
    at(index).events.onOpen();
    at(index).events.onText(JSON.stringify({ type: 'welcome', dial: at(index).dial, sessions: [] }));
  };
  const assign = () => {
    isAssigned = true;
  };
  return { clock, sockets, at, log, connection, welcome, assign };
};

describe('connection', () => {
  it('says hello until it is welcome and assigned', () => {
    const { clock, at, welcome, assign, log } = setup();
    welcome(0);
    expect(at(0).sent).toMatchObject([{ type: 'hello', dial: 1 }]);
    clock.advance(10_000);
    const hellos = at(0).sent.length;
    expect(hellos).toBeGreaterThan(2);
    assign();
    clock.advance(20_000);
    expect(at(0).sent.length).toBeLessThanOrEqual(hellos + 1);
    expect(log.filter((line) => line.startsWith('up'))).toEqual(['up 1']);
  });

  it('says hello again when there is news, and repeats it until settled', () => {
    const { clock, at, welcome, assign, connection } = setup();
    assign();
    connection.helloAgain();
    expect(at(0).sent).toEqual([]);
    welcome(0);
    clock.advance(15_000);
    expect(at(0).sent).toHaveLength(1);
    connection.helloAgain();
    expect(at(0).sent).toHaveLength(2);
    clock.advance(60_000);
    expect(at(0).sent.filter((frame) => JSON.stringify(frame).includes('"hello"'))).toHaveLength(2);
  });

  it('dials again with a new number and the rotated credential when it is cut', () => {
    const { clock, at, welcome, sockets, log } = setup();
    expect(at(0).credential).toBe(TOKEN);
    welcome(0);
    at(0).events.onClosed({ status: null, message: 'cut' });
    expect(sockets).toHaveLength(1);
    clock.advance(RECONNECT_BASE_MS);
    expect(at(1)).toMatchObject({ dial: 2 });
    expect(at(1).credential).not.toBe(TOKEN);
    expect(log).toContain('down');
  });

  it.each([401, 403])('gives up when refused with %i', (status) => {
    const { clock, at, sockets, log } = setup();
    at(0).events.onClosed({ status, message: 'refused' });
    clock.advance(RECONNECT_MAX_MS * 2);
    expect(log).toEqual([`refused ${status}`]);
    expect(sockets).toHaveLength(1);
  });

  it('goes on trying when refused otherwise', () => {
    const { clock, at, sockets } = setup();
    at(0).events.onClosed({ status: 429, message: 'throttled' });
    clock.advance(RECONNECT_MAX_MS);
    expect(sockets.length).toBeGreaterThan(1);
  });

  it('re-dials before the gateway cuts it, and closes the old line only after the welcome of the new one', () => {
    const { clock, at, welcome, assign, connection } = setup();
    welcome(0);
    assign();
    for (let passed = 0; passed <= REDIAL_AFTER_MS + REDIAL_JITTER_MS; passed += 20_000) {
      clock.advance(20_000);
      at(0).events.onText(JSON.stringify({ type: 'ping', ts: 1 }));
    }
    expect(at(0).sent.filter((frame) => JSON.stringify(frame).includes('"ping"')).length).toBe(
      Math.floor((REDIAL_AFTER_MS + REDIAL_JITTER_MS) / PING_INTERVAL_MS),
    );
    at(1).events.onOpen();
    expect(at(0).isClosed).toBe(false);
    expect(connection.send('{"type":"ping","ts":1}')).toBe('sent');
    expect(at(1).sent).toHaveLength(1);
    welcome(1);
    expect(at(0).isClosed).toBe(true);
    connection.send('{"type":"ping","ts":2}');
    expect(at(1).sent.at(-1)).toEqual({ type: 'ping', ts: 2 });
  });

  it('gives a silent line up', () => {
    const { clock, at, welcome, assign, log } = setup();
    welcome(0);
    assign();
    clock.advance(120_000);
    expect(at(0).isClosed).toBe(true);
    expect(log).toContain('down');
  });

  it('refuses to send a frame the gateway would cut', () => {
    const { connection, welcome } = setup();
    expect(connection.send('{}')).toBe('not_connected');
    welcome(0);
    expect(() => connection.send(JSON.stringify({ data: 'ä'.repeat(FRAME_MAX_BYTES / 2) }))).toThrow('a frame of');
  });

  it('stops all timers when closed', () => {
    const { connection, welcome, clock } = setup();
    welcome(0);
    connection.close();
    expect(clock.timers).toBe(0);
  });
});

describe('parseFrame', () => {
  it.each([
    ['{"message":"Internal server error","connectionId":"x","requestId":"y"}', 'gateway_error'],
    ['{"type":"surprise"}', 'unknown'],
    ['{"type":"ping"}', 'unknown'],
    ['nonsense', 'unknown'],
    ['{"type":"ping","ts":1}', 'frame'],
  ])('%s is %s', (text, kind) => expect(parseFrame(text).kind).toBe(kind));
});

describe('decisions', () => {
  it.each([
    [LEASE_MS - 1, 'held'],
    [LEASE_MS, 'lost'],
    [LEASE_MS + LEASE_LOST_KILL_MS - 1, 'lost'],
    [LEASE_MS + LEASE_LOST_KILL_MS, 'kill'],
  ])('a lease %i ms after its proof is %s', (afterMs, kind) => expect(decideLease(5, 5 + afterMs).kind).toBe(kind));

  it('draws pauses over the whole range, which doubles up to its end', () => {
    const at = (tries: number, value: number) => fullJitterMs(tries, 100, 1_000, fixedRandom(value));
    expect([at(0, 0), at(0, 1), at(1, 1), at(3, 1), at(4, 1), at(400, 1)]).toEqual([0, 100, 200, 800, 1_000, 1_000]);
  });
});
