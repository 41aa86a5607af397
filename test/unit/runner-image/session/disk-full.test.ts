/** A disk without room: nothing is lost, nothing overtakes, nothing leaves that is not kept, and all goes on when there is room. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskGate } from '../../../../runner-image/src/session/disk-gate.ts';
import { openSpool, type Spool } from '../../../../runner-image/src/stream/spool.ts';
import { openTerminalStream } from '../../../../runner-image/src/stream/terminal-stream.ts';
import { type Disk, realDisk } from '../../../../runner-image/src/transport/disk.ts';
import { openJournal } from '../../../../runner-image/src/transport/journal.ts';
import { DISK_RETRY_MS, DISK_WRITES_WAITING_MAX } from '../../../../shared/limits.ts';
import { manualClock } from '../manual-clock.ts';
import { openCore } from './open-core.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'full-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const noSpace = () => Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
/** Refuses every write while it is full; a refused append leaves its beginning in the file, as a real one does. */
const smallDisk = () => {
  const state = { isFull: false };
  const disk: Disk = {
    ...realDisk,
    replace(path, text, flush) {
      if (state.isFull) throw noSpace();
      realDisk.replace(path, text, flush);
    },
    openAppend(path) {
      const file = realDisk.openAppend(path);
      return {
        ...file,
        append(bytes) {
          file.append(state.isFull ? bytes.subarray(0, 7) : bytes);
          if (state.isFull) throw noSpace();
        },
      };
    },
  };
  return { state, disk };
};

describe('a full disk', () => {
  it('holds the session, keeps its events in order, and sends none that is not in the journal', async () => {
    const { state, disk } = smallDisk();
    const { core, clock, held, target, deliver, types } = openCore(folder, disk);
    core.freezer.setTarget(target);
    core.events.onWelcome(0);
    core.record({ type: 'provider_idle', turnsDone: 1 });
    state.isFull = true;
    core.record({ type: 'provider_idle', turnsDone: 2 });
    core.move({ type: 'PREPARE' });
    core.record({ type: 'provider_idle', turnsDone: 3 });
    await core.freezer.set('disk_full', core.freezer.isHeld);
    expect([core.freezer.reasons, held]).toEqual([['disk_full'], ['freeze']]);
    let isFree = false;
    void core.freezer.whenFree().then(() => {
      isFree = true;
    });
    clock.advance(10 * DISK_RETRY_MS);
    expect([types(), core.events.nextRseq, isFree]).toEqual([[], 2, false]);
    state.isFull = false;
    clock.advance(DISK_RETRY_MS);
    await core.freezer.whenFree();
    deliver();
    const all = [
      'provider_idle',
      'provider_idle',
      'session_frozen',
      'session_state_changed',
      'provider_idle',
      'session_frozen',
    ];
    expect(types()).toEqual(all);
    expect(held).toEqual(['freeze', 'thaw']);
    expect(await core.events.drained(1)).toBe(true);
    core.dispose(true);
    expect(clock.timers).toBe(0);
  });

  it('costs nothing when the runner crashes on it: what was not kept was not sent, and state and events fit', () => {
    const { state, disk } = smallDisk();
    const first = openCore(folder, disk);
    first.core.move({ type: 'PREPARE' });
    state.isFull = true;
    first.core.move({ type: 'PREPARED' });
    const second = openCore(folder, disk);
    expect([second.core.state, second.core.events.nextRseq]).toEqual(['preparing_workspace', 2]);
    state.isFull = false;
    second.clock.advance(DISK_RETRY_MS);
    second.core.move({ type: 'PREPARED' });
    expect(openJournal(join(folder, 'journal')).state.events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(['session_state_changed', 'session_state_changed']),
    );
  });

  it('between the saved state and its events: the journal is brought up to it once', () => {
    const { state, disk } = smallDisk();
    const first = openCore(folder, disk);
    first.core.move({ type: 'PREPARE' });
    // Saved, and then the process dies before the event is journaled.
    const halfDisk: Disk = { ...disk, replace: realDisk.replace };
    const dying = openCore(folder, halfDisk);
    state.isFull = true;
    dying.core.move({ type: 'PREPARED' });
    state.isFull = false;
    for (const _crash of [1, 2]) {
      const { core } = openCore(folder, disk);
      expect([core.state, core.events.nextRseq]).toEqual(['starting_provider', 3]);
    }
    expect(openJournal(join(folder, 'journal')).state.events).toMatchObject([
      { toState: 'preparing_workspace' },
      { toState: 'starting_provider' },
    ]);
  });

  it('is tried in order, and is given up only when far too much waits', () => {
    const clock = manualClock();
    const told: boolean[] = [];
    const gate = new DiskGate({ clock, onFull: (isFull) => told.push(isFull) });
    const done: number[] = [];
    let room = 2;
    const write = (number: number) => () => {
      if (room === 0) throw noSpace();
      room -= 1;
      done.push(number);
    };
    for (let number = 1; number <= 5; number += 1) gate.run(write(number));
    room = 2;
    clock.advance(DISK_RETRY_MS);
    expect([done, told]).toEqual([[1, 2, 3, 4], [true]]);
    room = 10;
    clock.advance(DISK_RETRY_MS);
    expect([done, told, gate.isFull]).toEqual([[1, 2, 3, 4, 5], [true, false], false]);
    room = 0;
    for (let number = 0; number < DISK_WRITES_WAITING_MAX; number += 1) gate.run(write(number));
    expect(() => gate.run(write(0))).toThrow('full for too long');
    expect(() =>
      new DiskGate({ clock, onFull: () => {} }).run(() => {
        throw new Error('broken');
      }),
    ).toThrow('broken');
  });
});

describe('the terminal stream', () => {
  it('tells what it stored before it acknowledges it: what a crash kept from being told comes again', () => {
    const told: string[] = [];
    const open = () => {
      const spool = openSpool({ folder, epoch: 1 });
      const stream = openTerminalStream({
        ...{ epoch: 1, spool, clock: manualClock(), cols: 80, rows: 24, secrets: [] },
        ack: (rawOffset) => void told.push(`ack ${rawOffset}`),
      });
      return { spool, stream };
    };
    const first = open();
    first.stream.accept(Buffer.from('one'), 0, (fresh, rawOffset) => void told.push(`${fresh} at ${rawOffset}`));
    expect(() =>
      first.stream.accept(Buffer.from('two'), 3, () => {
        throw new Error('the process dies');
      }),
    ).toThrow('dies');
    const { stream, spool } = open();
    expect([stream.resumeRawOffset, stream.headOffset]).toEqual([3, 3]);
    stream.accept(Buffer.from('onetwo'), 0, (fresh, rawOffset) => void told.push(`${fresh} at ${rawOffset}`));
    expect(told).toEqual(['one at 0', 'ack 3', 'two at 3', 'ack 6']);
    expect(spool.read(0, 100)).toMatchObject({ bytes: Buffer.from('onetwo') });
    for (const { stream: old } of [first, { stream }]) old.dispose();
  });
});

describe('a full disk under the terminal stream', () => {
  it('shows and acknowledges nothing that is not spooled, then all of it in order, over a resize too', () => {
    const clock = manualClock();
    const gate = new DiskGate({ clock, onFull: () => {} });
    const real = openSpool({ folder, epoch: 1 });
    let isFull = false;
    const guarded =
      <A extends readonly unknown[]>(write: (...args: A) => void) =>
      (...args: A): void => {
        if (isFull) throw noSpace();
        write(...args);
      };
    const spool: Spool = Object.create(real, {
      append: { value: guarded(real.append) },
      check: { value: guarded(real.check) },
      mark: { value: guarded(real.mark) },
      stamp: { value: guarded(real.stamp) },
    });
    const acks: number[] = [];
    const pieces: string[] = [];
    const stream = openTerminalStream({
      ...{ epoch: 1, spool, clock, cols: 80, rows: 24, secrets: ['hunter22'] },
      keep: (write) => gate.run(write),
      ack: (rawOffset) => void acks.push(rawOffset),
    });
    stream.subscribe(({ text, cols, offset }) => void pieces.push(`${offset} ${cols} ${text}`));
    stream.accept(Buffer.from('one '), 0);
    isFull = true;
    stream.accept(Buffer.from('two hunter'), 4);
    stream.accept(Buffer.from('22 '), 14);
    stream.resize(100, 24);
    stream.accept(Buffer.from('three'), 17);
    expect([pieces, acks, stream.headOffset]).toEqual([['0 80 one '], [4], 4]);
    isFull = false;
    clock.advance(DISK_RETRY_MS);
    expect(pieces.join('|')).toBe('0 80 one |4 80 two |8 80 ******** |17 100 three');
    expect(acks.at(-1)).toBe(22);
    stream.dispose();
    real.close();
  });
});
